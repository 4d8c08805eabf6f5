/** The version that `--version`, health and user agents report. */
export const VERSION = "0.1.0";
