/** Bodies of `POST /v1/environments` and `POST /v1/environments/{id}`. */
import { z } from "zod";
import { description, hostPattern, metadata } from "./primitives.ts";
import { withSettings } from "./sandbox_settings.ts";

const packageList = z.array(z.string().min(1).max(256)).max(1000).nullish();

const packages = z
  .strictObject({
    type: z.literal("packages").optional(),
    apt: packageList,
    cargo: packageList,
    gem: packageList,
    go: packageList,
    npm: packageList,
    pip: packageList,
  })
  .nullish();

const networking = z
  .discriminatedUnion("type", [
    z.strictObject({ type: z.literal("unrestricted") }),
    z.strictObject({
      type: z.literal("limited"),
      allow_mcp_servers: z.boolean().nullish(),
      allow_package_managers: z.boolean().nullish(),
      allowed_hosts: z.array(hostPattern).max(1000).nullish(),
    }),
  ])
  .nullish();

export const environmentConfig = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("cloud"), networking, packages }),
  z.strictObject({ type: z.literal("self_hosted") }),
]);

const name = z.string().min(1).max(256);
const scope = z
  .literal("organization", { error: 'must be "organization": there is one account on this machine' })
  .nullish();

export const environmentCreate = z.strictObject({
  name,
  config: environmentConfig.nullish(),
  description,
  metadata: withSettings(metadata).optional(),
  scope,
});

export const environmentUpdate = z.strictObject({
  name: name.nullish(),
  config: environmentConfig.nullish(),
  description,
  /** A null or empty value deletes the key. */
  metadata: withSettings(z.record(z.string().min(1).max(64), z.string().max(512).nullable())).optional(),
  scope,
});

export type EnvironmentCreate = z.output<typeof environmentCreate>;
export type EnvironmentUpdate = z.output<typeof environmentUpdate>;
export type EnvironmentConfigParams = z.output<typeof environmentConfig>;
