/** Starts a broker for a test and talks to it as the engine does. */
import { newId } from "../../contract/ids.ts";
import type { ModelEndpoint } from "../../contract/process.ts";
import { type Broker, type BrokerOptions, startBroker } from "../broker.ts";
import { cheapPassphrase, fakeKeychain, keychainKeys } from "../sealed/testing/keys.ts";

export const LAUNCH_SECRET = "5ec7e7".padEnd(64, "0");

export interface TestBroker extends Broker {
  logs: string[];
  token: string;
  sessionId: string;
  control(method: string, path: string, body?: unknown, secret?: string): Promise<Response>;
  /** A request to the model route with the session's token; `headers` are added or replace. */
  model(path: string, body?: unknown, headers?: Record<string, string>, signal?: AbortSignal): Promise<Response>;
}

const running: Broker[] = [];

export async function stopBrokers(): Promise<void> {
  await Promise.all(running.splice(0).map((broker) => broker.close()));
}

/** With keys of its own for credentials: no test looks into the keychain of the person who runs it. */
export async function testBroker(
  model: ModelEndpoint,
  options: BrokerOptions = {},
  data_dir = "/nowhere",
): Promise<TestBroker> {
  const logs: string[] = [];
  const broker = await startBroker(
    { type: "boot", launch_secret: LAUNCH_SECRET, model, data_dir },
    {
      demoPaceMs: 0,
      keys: {
        keychain: keychainKeys(fakeKeychain()),
        passphrase: cheapPassphrase(),
        fromPassphrase: cheapPassphrase,
      },
      writeLog: (line) => logs.push(line),
      ...options,
    },
  );
  running.push(broker);
  const sessionId = newId("session");
  const control: TestBroker["control"] = (method, path, body, secret = LAUNCH_SECRET) =>
    fetch(`${broker.url}/control/${path}`, {
      method,
      headers: { authorization: `Bearer ${secret}` },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  const granted = await control("POST", "capabilities", { session_id: sessionId });
  const { token } = (await granted.json()) as { token: string };
  const call: TestBroker["model"] = (path, body, headers = {}, signal) =>
    fetch(`${broker.url}/model${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  return { ...broker, logs, token, sessionId, control, model: call };
}

/** The error of a refused request. */
export async function errorOf(
  response: Response,
): Promise<{ status: number; type: string; message: string; code: string | undefined }> {
  const body = (await response.json()) as {
    error: { type: string; message: string; details?: { error_code: string } };
  };
  return {
    status: response.status,
    type: body.error.type,
    message: body.error.message,
    code: body.error.details?.error_code,
  };
}
