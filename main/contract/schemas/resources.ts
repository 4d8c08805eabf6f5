/** Resources of a new session. */
import { z } from "zod";
import { sandboxPath } from "./primitives.ts";

const file = z.strictObject({
  type: z.literal("file"),
  file_id: z.string().min(1).max(128),
  mount_path: sandboxPath.nullish(),
});

const checkout = z
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
  .nullish();

/** Ours: a repository on this disk enters the sandbox as a copy. */
const localRepository = z.strictObject({
  type: z.literal("local_repository"),
  path: z
    .string()
    .min(1)
    .max(4096)
    .refine((path) => !path.includes("\0"), "must not contain NUL characters"),
  checkout,
  mount_path: sandboxPath.nullish(),
  include_uncommitted: z.boolean().nullish(),
});

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Any git server over https; over http only one of this machine, because anybody on the way could change the code. */
const cloneUrl = z
  .string()
  .max(2048)
  .refine((text) => {
    const url = URL.parse(text);
    return url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname));
  }, "must be an https URL, for example https://github.com/owner/repository")
  .refine((text) => {
    const url = URL.parse(text);
    return url === null || (url.username === "" && url.password === "");
  }, "must not contain a user name, password or token: it is stored and shown")
  .refine((text) => !/[?#\s\p{Cc}]/u.test(text), "must not contain a query, a fragment or white space")
  .refine((text) => (URL.parse(text)?.pathname.length ?? 2) > 1, "must name a repository, not only a host");

/** Cloned inside the sandbox, with its network. */
const githubRepository = z.strictObject({
  type: z.literal("github_repository"),
  url: cloneUrl,
  /** Sealed apart from everything that is checked here, where a session is created; deployments do not keep it. */
  authorization_token: z
    .string()
    .max(4096)
    .nullish()
    .transform(() => undefined),
  checkout,
  mount_path: sandboxPath.nullish(),
});

const memoryStore = z.strictObject({
  type: z.literal("memory_store"),
  memory_store_id: z.string().min(1).max(128),
  access: z.enum(["read_write", "read_only"]).nullish(),
  instructions: z.string().max(4096).nullish(),
});

export const MAX_RESOURCES = 500;

/** Body of `POST /v1/sessions/{id}/resources/{resource}`. */
export const updatedResource = z.strictObject({
  authorization_token: z
    .string()
    .min(1)
    .max(4096)
    .refine((token) => !/[\s\p{Cc}]/u.test(token), "must not contain white space or control characters"),
});

/** Body of `POST /v1/sessions/{id}/resources`. */
export const addedResource = z.strictObject({
  ...file.shape,
  type: z.literal("file", {
    error: 'must be "file": other resources are attached when a session is created',
  }),
});

export const resources = z
  .array(z.discriminatedUnion("type", [file, localRepository, githubRepository, memoryStore]))
  .max(MAX_RESOURCES);

export type ResourceParams = z.output<typeof resources>[number];
export type LocalRepositoryParams = Extract<ResourceParams, { type: "local_repository" }>;
export type FileResourceParams = Extract<ResourceParams, { type: "file" }>;
export type GithubRepositoryParams = Extract<ResourceParams, { type: "github_repository" }>;
export type MemoryStoreResourceParams = Extract<ResourceParams, { type: "memory_store" }>;
