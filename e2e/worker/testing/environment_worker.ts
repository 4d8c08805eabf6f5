/** The official SDK's EnvironmentWorker as a program of its own: polls and serves until SIGTERM. */
import Anthropic from "@anthropic-ai/sdk";
import { EnvironmentWorker } from "@anthropic-ai/sdk/helpers/beta/environments";
import { settings } from "./settings.ts";

const { baseURL, environmentId, environmentKey, workdir } = settings();
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());

const worker = new EnvironmentWorker({
  // No API key: a worker's machine has the environment's key only.
  client: new Anthropic({ baseURL, apiKey: null, authToken: environmentKey }),
  environmentId,
  environmentKey,
  workdir,
  maxIdleMs: 400,
});
try {
  await worker.run(stop.signal);
} catch (error) {
  if (!stop.signal.aborted) throw error;
}
