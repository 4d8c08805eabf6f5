/** Resources of a new session. */
import { z } from "zod";
import { sandboxPath } from "./primitives.ts";

const file = z.strictObject({
  type: z.literal("file"),
  file_id: z.string().min(1).max(128),
  mount_path: sandboxPath.nullish(),
});

/** Ours: a repository on this disk enters the sandbox as a copy. */
const localRepository = z.strictObject({
  type: z.literal("local_repository"),
  path: z
    .string()
    .min(1)
    .max(4096)
    .refine((path) => !path.includes("\0"), "must not contain NUL characters"),
  checkout: z
    .discriminatedUnion("type", [
      z.strictObject({
        type: z.literal("branch"),
        name: z
          .string()
          .min(1)
          .max(255)
          // A name that begins with a hyphen would be read as an option by git.
          .regex(/^(?!-)[^\s\p{Cc}~^:?*[\\]+$/u, "must be a valid branch name"),
      }),
      z.strictObject({
        type: z.literal("commit"),
        sha: z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/, "must be a full commit SHA"),
      }),
    ])
    .nullish(),
  mount_path: sandboxPath.nullish(),
  include_uncommitted: z.boolean().nullish(),
});

export const MAX_RESOURCES = 500;

/** Resources of the contract that a later version takes; named so that the refusal says so. */
export const LATER_RESOURCES = ["github_repository", "memory_store"] as const;

export const resources = z.array(z.discriminatedUnion("type", [file, localRepository])).max(MAX_RESOURCES);

export type ResourceParams = z.output<typeof resources>[number];
export type LocalRepositoryParams = Extract<ResourceParams, { type: "local_repository" }>;
export type FileResourceParams = Extract<ResourceParams, { type: "file" }>;
