/** The model endpoint that a person enters, and the key that seals what the broker keeps: shapes and the port to the broker. */
import { z } from "zod";
import type { HealthCheck } from "../local_api.ts";

export type ModelCredential = "api_key" | "auth_token";

/** Answer of `GET /longhaul/v1/settings/model`. Nothing in it tells anything about a key but that there is one. */
export interface ModelSettings {
  /** Where the endpoint in use comes from. The environment counts more than the vault. */
  source: "environment" | "vault" | "demo";
  /** Null for the demo. */
  base_url: string | null;
  /** Host and, unless it is the scheme's own, port; null for the demo. */
  host: string | null;
  /** What is sent to it. */
  credential: ModelCredential | "api_key_and_auth_token" | null;
  /** What is kept in the vault, in use or not. */
  vault: { base_url: string; host: string; credential: ModelCredential | null } | null;
  /** Whether the endpoint in use can be used now. */
  check: HealthCheck;
  /** Where a key would be sealed. */
  keychain: HealthCheck;
}

/** Answer of `POST /longhaul/v1/settings/model/test`. */
export interface ModelTest {
  outcome:
    | "accepted"
    /** The endpoint refused the credential. */
    | "refused"
    | "unreachable"
    /** The keychain does not give the key. */
    | "locked"
    /** It answered, and the answer does not say whether the credential is right. */
    | "unclear"
    /** There is no endpoint but the demo. */
    | "demo";
  /** HTTP status of the endpoint; null when it did not answer. */
  status: number | null;
  /** What was asked and what came back, in one line. */
  summary: string;
  /** What to do; null when nothing is wrong. */
  advice: string | null;
  /** Milliseconds until the endpoint answered; null when it did not. */
  duration_ms: number | null;
}

/** Answer of `GET /longhaul/v1/vault`. */
export interface VaultStatus {
  /** What seals new values. */
  sealed_with: "keychain" | "passphrase";
  /** Sealed values, the model endpoint's credential included. */
  values: number;
  keys: { source: "keychain" | "passphrase"; values: number }[];
  /** Old keys that the keychain did not let go yet; they seal nothing. */
  keys_to_remove: number;
  keychain: HealthCheck;
}

/** Answer of `POST /longhaul/v1/vault/rotate`. */
export interface Rotation {
  /** Values that are sealed with the new key now. */
  resealed: number;
  /** Values whose key or text is lost; kept as they are. */
  left: number;
  sealed_with: "keychain" | "passphrase";
  keys_to_remove: number;
}

const MAX_KEY = 32_768;
const key = z
  .string()
  .min(1)
  .max(MAX_KEY)
  .regex(/^[\x21-\x7e]*$/, "must be visible ASCII characters only, without spaces or line breaks: copy the key again");

/** Body of `PUT /longhaul/v1/settings/model`. No message made from it repeats a value that was sent. */
export const modelChange = z
  .strictObject({
    /** Default: the API of Anthropic. */
    base_url: z.string().min(1).max(2048).nullish(),
    api_key: key.nullish(),
    auth_token: key.nullish(),
  })
  .refine((body) => body.api_key == null || body.auth_token == null, "takes `api_key` or `auth_token`, not both")
  .refine(
    (body) => body.base_url != null || body.api_key != null || body.auth_token != null,
    "needs `api_key`, `auth_token`, or the `base_url` of an endpoint that wants neither",
  );

export const MIN_PASSPHRASE = 8;

/** Body of `POST /longhaul/v1/vault/rotate`. */
export const rotationRequest = z
  .strictObject({
    /** Default: what seals new values now. */
    to: z.enum(["keychain", "passphrase"]).nullish(),
    /** The new one; needed when the new key comes from a passphrase. */
    passphrase: z
      .string()
      .min(MIN_PASSPHRASE, `must have at least ${MIN_PASSPHRASE} characters`)
      .max(1024)
      .refine((text) => !text.includes("\0"), "must not contain NUL characters")
      .nullish(),
  })
  .refine(
    (body) => body.to === "passphrase" || body.passphrase == null,
    "takes `passphrase` with `to: passphrase` only",
  )
  .refine((body) => body.to !== "passphrase" || body.passphrase != null, "needs the new `passphrase`");

export type ModelChange = z.output<typeof modelChange>;
export type RotationRequest = z.output<typeof rotationRequest>;

/** The broker as the settings see it. Every method rejects with ApiError in words that a person can act on. */
export interface BrokerSettings {
  /** Asks no keychain for anything that could make it ask its owner. */
  model(): Promise<ModelSettings>;
  /** In use at once, and durable when it resolves. */
  setModel(change: ModelChange): Promise<ModelSettings>;
  clearModel(): Promise<ModelSettings>;
  /** Takes at most about 30 s. */
  testModel(): Promise<ModelTest>;
  vault(): Promise<VaultStatus>;
  rotate(request: RotationRequest): Promise<Rotation>;
}
