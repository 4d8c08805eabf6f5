/** The control routes for the model endpoint and for the key of sealed values. Keys come in and never go out. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import {
  type ModelSettings,
  modelChange,
  type RotationRequest,
  rotationRequest,
  type VaultStatus,
} from "../contract/vaults/settings.ts";
import { testModel } from "./model/check.ts";
import type { ModelEndpoints } from "./model/endpoints.ts";
import { readJsonBody } from "./read_body.ts";
import type { Redactor } from "./redact.ts";
import { Refusal, sendJson } from "./refusal.ts";
import type { KeySource } from "./sealed/key_source.ts";
import type { SealedStore } from "./sealed/sealed_store.ts";
import type { StatusReport } from "./status.ts";

export interface SettingsContext {
  endpoints: ModelEndpoints;
  store: SealedStore;
  status: StatusReport;
  redactor: Redactor;
  keychain: KeySource;
  fromPassphrase: (passphrase: string) => KeySource;
  /** Told which passphrase the next start of this process needs; null when values are sealed by the keychain now. */
  onPassphrase: (passphrase: string | null) => void;
}

const MAX_BODY_BYTES = 128 * 1024;

/** Answers one authenticated request under `/control/model` and `/control/vault`; false when there is no such route. */
export async function answerSettings(
  request: IncomingMessage,
  response: ServerResponse,
  context: SettingsContext,
): Promise<boolean> {
  switch (`${request.method ?? ""} ${request.url ?? ""}`) {
    case "GET /control/model":
      sendJson(response, 200, await modelSettings(context));
      return true;
    case "PUT /control/model":
      await context.endpoints.set(await read(request, modelChange));
      sendJson(response, 200, await modelSettings(context));
      return true;
    case "DELETE /control/model":
      await context.endpoints.clear();
      sendJson(response, 200, await modelSettings(context));
      return true;
    case "POST /control/model/test": {
      const note = context.status.noteFor();
      sendJson(response, 200, await testModel(context.endpoints, context.redactor, note));
      return true;
    }
    case "GET /control/vault": {
      const { sealing, ...report } = await context.store.report();
      const status: VaultStatus = { ...report, sealed_with: sealing, keychain: await context.store.status() };
      sendJson(response, 200, status);
      return true;
    }
    case "POST /control/vault/rotate":
      sendJson(response, 200, await rotate(context, await read(request, rotationRequest)));
      return true;
    default:
      return false;
  }
}

async function rotate(context: SettingsContext, { to, passphrase }: RotationRequest) {
  const { sealing } = await context.store.report();
  const wanted = to ?? sealing;
  if (wanted === "passphrase" && passphrase == null) {
    const text =
      "Credentials are sealed with a passphrase. Nothing was changed. Give the new passphrase, or ask for a key in the keychain.";
    throw new Refusal(400, "invalid_request_error", text);
  }
  const source = wanted === "keychain" ? context.keychain : context.fromPassphrase(passphrase ?? "");
  const done = await context.store.rotate(source);
  context.onPassphrase(wanted === "passphrase" ? (passphrase ?? null) : null);
  return done;
}

async function modelSettings({ endpoints, status, store }: SettingsContext): Promise<ModelSettings> {
  const [view, vault, check, keychain] = await Promise.all([
    endpoints.view(),
    endpoints.kept(),
    status.model(),
    store.status(),
  ]);
  const { endpoint, credential, base_url } = view;
  const source = endpoint.kind === "demo" ? "demo" : endpoint.source;
  const host = endpoint.kind === "demo" ? null : endpoint.host;
  const { state, summary, advice } = check;
  return { source, host, base_url, credential, vault, check: { state, summary, advice }, keychain };
}

async function read<S extends z.ZodType>(request: IncomingMessage, shape: S): Promise<z.output<S>> {
  const result = shape.safeParse(await readJsonBody(request, MAX_BODY_BYTES));
  if (result.success) return result.data;
  // Where it is wrong and why, never what it holds.
  const issue = result.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? "The body" : issue.path.join(".");
  throw new Refusal(400, "invalid_request_error", `${where}: ${issue?.message ?? "is not what this route takes"}.`);
}
