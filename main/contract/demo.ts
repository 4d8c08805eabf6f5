/** Model id of the built-in offline demo, which answers under this name whatever model was asked for. */
export const DEMO_MODEL = "longhaul-demo";
