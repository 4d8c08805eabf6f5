/** Bodies of the requests under `/v1/vaults`. No message made from them repeats a value that was sent. */
import { z } from "zod";
import { canonicalHost } from "../egress.ts";
import { hostPattern, httpUrl, metadata, metadataPatch } from "../schemas/primitives.ts";

const vaultName = z.string().min(1).max(255);

export const vaultCreate = z.strictObject({ display_name: vaultName, metadata: metadata.optional() });

/** null is the same as leaving a field out: a vault always has a name. */
export const vaultUpdate = z.strictObject({ display_name: vaultName.nullish(), metadata: metadataPatch.nullish() });

/** Larger than any token that a header can carry. */
const MAX_SECRET = 32_768;

export const secret = z.string().min(1).max(MAX_SECRET);
const headerSecret = secret.regex(
  /^[\x21-\x7e]*$/,
  "must be visible ASCII characters only, without spaces or line breaks, as a header carries it",
);

export const serverUrl = httpUrl
  .refine((text) => {
    const url = URL.parse(text);
    return url === null || (url.username === "" && url.password === "");
  }, "must not contain a user name or password: it is stored and shown")
  .refine((text) => !text.includes("#"), "must not have a fragment (#…)");

const expiresAt = z.iso.datetime({ offset: true, error: "must be an RFC 3339 time such as 2027-01-31T12:00:00Z" });

const allowedHost = hostPattern.refine(
  (pattern) => canonicalHost(pattern.replace(/^\*\./, "")) !== null,
  'must be a host name such as "api.example.com" or "*.example.com", or an IPv4 address such as "192.0.2.1"',
);

const networking = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("unrestricted") }),
  z.strictObject({ type: z.literal("limited"), allowed_hosts: z.array(allowedHost).min(1).max(16) }),
]);

const injectionLocation = z.strictObject({ body: z.boolean().optional(), header: z.boolean().optional() });

const secretName = z
  .string()
  .max(255)
  .regex(
    /^[A-Za-z_][A-Za-z0-9_]*$/,
    "must be a name of an environment variable: letters, digits and _, not a digit first",
  );

const secretValue = secret.refine((text) => !text.includes("\0"), "must not contain NUL characters");

const endpointAuth = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("none") }),
  z.strictObject({ type: z.literal("client_secret_basic"), client_secret: secret }),
  z.strictObject({ type: z.literal("client_secret_post"), client_secret: secret }),
]);

const scope = z.string().max(4096);

export const staticBearer = z.strictObject({
  type: z.literal("static_bearer"),
  mcp_server_url: serverUrl,
  token: headerSecret,
});

export const environmentVariable = z.strictObject({
  type: z.literal("environment_variable"),
  secret_name: secretName,
  secret_value: secretValue,
  networking,
  injection_location: injectionLocation.optional(),
});

export const credentialCreate = z.strictObject({
  display_name: z.string().max(255).nullish(),
  metadata: metadata.optional(),
  auth: z.discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("mcp_oauth"),
      mcp_server_url: serverUrl,
      access_token: headerSecret,
      expires_at: expiresAt.nullish(),
      refresh: z
        .strictObject({
          client_id: z.string().min(1).max(2048),
          refresh_token: secret,
          token_endpoint: serverUrl,
          token_endpoint_auth: endpointAuth,
          resource: z.string().max(2048).nullish(),
          scope: scope.nullish(),
        })
        .nullish(),
    }),
    staticBearer,
    environmentVariable,
  ]),
});

/** Only there to be refused by name: the credential is found and its value is bound by it. */
const fixed = z.undefined({ error: "cannot be changed: archive this credential and create a new one" }).optional();

const newClientSecret = secret.nullish();

/** A null means the same as leaving the field out, except in metadata, where it deletes the key. */
export const credentialUpdate = z.strictObject({
  display_name: z.string().min(1).max(255).nullish(),
  metadata: metadataPatch.nullish(),
  auth: z
    .discriminatedUnion("type", [
      z.strictObject({
        type: z.literal("mcp_oauth"),
        mcp_server_url: fixed,
        access_token: headerSecret.nullish(),
        expires_at: expiresAt.nullish(),
        refresh: z
          .strictObject({
            client_id: fixed,
            token_endpoint: fixed,
            resource: fixed,
            refresh_token: secret.nullish(),
            scope: scope.nullish(),
            token_endpoint_auth: z
              .discriminatedUnion("type", [
                z.strictObject({ type: z.literal("client_secret_basic"), client_secret: newClientSecret }),
                z.strictObject({ type: z.literal("client_secret_post"), client_secret: newClientSecret }),
              ])
              .optional(),
          })
          .nullish(),
      }),
      z.strictObject({ type: z.literal("static_bearer"), mcp_server_url: fixed, token: headerSecret.nullish() }),
      z.strictObject({
        type: z.literal("environment_variable"),
        secret_name: fixed,
        secret_value: secretValue.nullish(),
        networking: networking.nullish(),
        injection_location: injectionLocation.optional(),
      }),
    ])
    .optional(),
});

export type CredentialCreate = z.output<typeof credentialCreate>;
export type CredentialUpdate = z.output<typeof credentialUpdate>;
