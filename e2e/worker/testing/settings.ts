/** What a worker program of the tests is told by its environment. */
export interface WorkerSettings {
  baseURL: string;
  environmentId: string;
  environmentKey: string;
  workdir: string;
}

export function settings(env: NodeJS.ProcessEnv = process.env): WorkerSettings {
  const read = (name: string): string => {
    const value = env[name];
    if (value === undefined) throw new Error(`${name} is not set`);
    return value;
  };
  return {
    baseURL: read("ANTHROPIC_BASE_URL"),
    environmentId: read("ANTHROPIC_ENVIRONMENT_ID"),
    environmentKey: read("ANTHROPIC_ENVIRONMENT_KEY"),
    workdir: read("WORKDIR"),
  };
}
