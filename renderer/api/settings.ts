/** Calls about the model endpoint. A key passes through once, in the body of one request, and is kept nowhere here. */
import type { ModelChange, ModelSettings, ModelTest } from "../../main/contract/vaults/settings.ts";
import { json } from "./local.ts";

const PATH = "settings/model";

export function getModelSettings(signal: AbortSignal): Promise<ModelSettings> {
  return json(PATH, { signal });
}

export function putModelSettings(change: ModelChange): Promise<ModelSettings> {
  return json(PATH, { method: "PUT", body: change });
}

export function clearModelSettings(): Promise<ModelSettings> {
  return json(PATH, { method: "DELETE" });
}

export function testModelEndpoint(signal: AbortSignal): Promise<ModelTest> {
  return json(`${PATH}/test`, { method: "POST", body: {}, signal });
}
