/** Field shapes that several requests share, with the limits of contract.md §3. */
import { z } from "zod";

const METADATA_PAIRS = 16;
const metadataKey = z.string().min(1).max(64);

function tooManyPairs(bag: Record<string, unknown>): boolean {
  return Object.keys(bag).length > METADATA_PAIRS;
}

/** Error codes of bodies that hold metadata, for {@link parseWith}. */
export const METADATA_CODES = { metadata: "invalid_metadata" } as const;

/** Metadata of a new resource. */
export const metadata = z
  .record(metadataKey, z.string().max(512))
  .refine((bag) => !tooManyPairs(bag), `must have at most ${METADATA_PAIRS} pairs`);

/** Metadata patch: a string sets the key, null deletes it. The merged bag is checked with {@link metadata} again. */
export const metadataPatch = z.record(metadataKey, z.string().max(512).nullable());

export const description = z.string().max(2048).nullish();

function isHttpUrl(text: string): boolean {
  // Not `canParse`: it also accepts host names of 16 KB and more, for which `new URL` throws.
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol);
}

export const httpUrl = z.string().max(2048).refine(isHttpUrl, "must be an http or https URL");

const LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?";
const HOST = `${LABEL}(\\.${LABEL})*`;

/** A host name: no wildcard, no scheme, no port, no path. */
export const hostName = z
  .string()
  .max(253)
  .regex(new RegExp(`^${HOST}$`), 'must be a host name such as "docs.example.com", without scheme, port, path or *');

/** A host name, optionally followed by a path. */
export const hostWithPath = z
  .string()
  .max(2048)
  .regex(
    new RegExp(`^${HOST}(/[^\\s?#]*)?$`),
    'must be a host name such as "docs.example.com", optionally followed by a path, without scheme, port or *',
  );

/** A host name with an optional `*.` in front: no scheme, no port, no path. */
export const hostPattern = z
  .string()
  .max(253)
  .regex(
    /^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/,
    'must be a host name such as "api.example.com" or "*.example.com", without scheme, port or path',
  );

/** Absolute POSIX path in the sandbox. */
export const sandboxPath = z
  .string()
  .max(1024)
  .regex(/^\/[^\0]*[^/\0]$/, "must be an absolute path below /, without a slash at its end")
  .refine((path) => !path.split("/").some((part) => part === ".." || part === "."), "must not contain . or .. parts");

/**
 * Text for the model. Blank text and NUL are refused here because the Messages API refuses every later request of a
 * conversation that contains them.
 */
export const modelText = z
  .string()
  .refine((text) => text.trim() !== "", "must contain more than white space")
  .refine((text) => !text.includes("\0"), "must not contain NUL characters");
