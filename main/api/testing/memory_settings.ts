/** Settings of a broker in memory, for tests of everything but the settings. It keeps no key. */
import type { HealthCheck } from "../../contract/local_api.ts";
import type { BrokerSettings, ModelSettings } from "../../contract/vaults/settings.ts";

const FINE: HealthCheck = { state: "ok", summary: "", advice: null };
const NONE: ModelSettings = {
  source: "demo",
  base_url: null,
  host: null,
  credential: null,
  vault: null,
  check: FINE,
  keychain: FINE,
};

export function memorySettings(): BrokerSettings {
  let now = NONE;
  return {
    model: async () => now,
    setModel: async ({ base_url, api_key, auth_token }) => {
      const url = base_url ?? "https://api.anthropic.com";
      const credential = api_key != null ? "api_key" : auth_token != null ? "auth_token" : null;
      const vault = { base_url: url, host: new URL(url).host, credential } as const;
      now = { ...NONE, ...vault, source: "vault", vault };
      return now;
    },
    clearModel: async () => {
      now = NONE;
      return now;
    },
    testModel: async () => ({ outcome: "demo", status: null, summary: "", advice: null, duration_ms: null }),
    vault: async () => ({ sealed_with: "keychain", values: 0, keys: [], keys_to_remove: 0, keychain: FINE }),
    rotate: async () => ({ resealed: 0, left: 0, sealed_with: "keychain", keys_to_remove: 0 }),
  };
}
