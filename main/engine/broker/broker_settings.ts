/** Model endpoint and master key over the broker's control routes. Keys pass through here once and are kept nowhere. */
import type {
  BrokerSettings,
  ModelSettings,
  ModelTest,
  Rotation,
  VaultStatus,
} from "../../contract/vaults/settings.ts";
import type { BrokerClient } from "../../harness/broker_client.ts";
import { control } from "./broker_vault.ts";

/** Milliseconds: a locked keychain takes 8 s to be given up; a test has two requests of 20 s; a new key two askings. */
const CONTROL_MS = 20_000;
const TEST_MS = 55_000;
const ROTATE_MS = 60_000;

/**
 * @param client shared with the model route
 * @param goOn wakes sessions that wait for the endpoint or for the keychain; called when either may be there again
 */
export function brokerSettings(client: BrokerClient, goOn: () => Promise<void>): BrokerSettings {
  const call = async <T>(method: string, path: string, body?: unknown, limitMs = CONTROL_MS): Promise<T> =>
    (await control(client, method, `/control${path}`, body, limitMs)) as T;
  return {
    model: () => call<ModelSettings>("GET", "/model"),
    setModel: async (change) => {
      const settings = await call<ModelSettings>("PUT", "/model", change);
      await goOn();
      return settings;
    },
    clearModel: () => call<ModelSettings>("DELETE", "/model"),
    testModel: async () => {
      const test = await call<ModelTest>("POST", "/model/test", undefined, TEST_MS);
      if (test.outcome === "accepted") await goOn();
      return test;
    },
    vault: () => call<VaultStatus>("GET", "/vault"),
    rotate: (request) => call<Rotation>("POST", "/vault/rotate", request, ROTATE_MS),
  };
}
