/** Messages between the parent (Electron main or `longhaul serve`) and its two children, the engine and the broker. */

/** Where model requests go. Exactly one process, the broker, ever holds `api_key` or `auth_token`. */
export interface ModelEndpoint {
  base_url?: string;
  api_key?: string;
  auth_token?: string;
}

export interface BrokerAddress {
  url: string;
  /** Proves to the broker's control routes that the caller is this launch's engine. 256 bits, hex. */
  launch_secret: string;
}

export interface BrokerBoot {
  type: "boot";
  launch_secret: string;
  model: ModelEndpoint;
  data_dir: string;
  /** Seals credentials in place of a key in the OS keychain. The broker alone ever holds it. */
  vault_passphrase?: string;
}

export interface EngineBoot {
  type: "boot";
  data_dir: string;
  host: "127.0.0.1";
  /** 0 picks a free port. A restarted engine is given its former port, so that clients reconnect. */
  port: number;
  broker: BrokerAddress;
  /** false: sessions cut off earlier wait for a person's Resume instead of going on at engine start. */
  auto_resume: boolean;
  sandbox: "docker" | "embedded" | null;
  /** Folder of the built user interface; null serves the API only. */
  renderer_dir: string | null;
}

export type ToBroker = BrokerBoot | { type: "drain" };

export type ToEngine =
  | EngineBoot
  /** The broker was restarted and listens elsewhere. */
  | { type: "broker"; broker: BrokerAddress }
  | { type: "power"; state: "suspend" | "resume" }
  | { type: "network"; online: boolean }
  /** Asks for a one-time code with which a browser signs in; answered by `sign_in_code`. */
  | { type: "sign_in_code" }
  /** Finish appends, release leases, exit with code 0. */
  | { type: "drain" };

export type FromBroker =
  | { type: "ready"; url: string; pid: number }
  /** A person changed what seals credentials: the passphrase that a broker started from now on needs, null for none. */
  | { type: "passphrase"; passphrase: string | null }
  | ChildFailed;

export type FromEngine =
  | { type: "ready"; url: string; token: string; pid: number }
  | { type: "sign_in_code"; code: string }
  /** Facts for tray, badge and notifications. */
  | { type: "attention"; needs_you: number; running: number }
  | ChildFailed;

/** The child cannot start and a restart would not help; it exits with code 1 after this message. */
export interface ChildFailed {
  type: "failed";
  code: "data_dir_locked" | "data_dir_unwritable" | "port_in_use" | "ledger_unreadable" | "other";
  /** What happened, what is safe, and what to do next. */
  message: string;
}

/** Wait before restart number `n` (0-based) of a child: at once first, then 0.5 s doubling up to 30 s. */
export function restartDelayMs(restarts: number): number {
  return restarts === 0 ? 0 : Math.min(30_000, 500 * 2 ** (restarts - 1));
}
