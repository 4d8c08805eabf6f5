/** What a skill says of itself in the front matter of its SKILL.md. */
import { invalid } from "../../../contract/errors.ts";

export interface SkillManifest {
  name: string;
  description: string;
}

const MAX_HEAD_BYTES = 16 * 1024;
const MAX_NAME = 64;
const MAX_DESCRIPTION = 1024;
const RESERVED = ["anthropic", "claude"];
const XML_TAG = /<[/!?]?[A-Za-z][^<>]*>/;
const SAMPLE = "---\nname: my-skill\ndescription: What it does and when to use it.\n---";

/**
 * Reads and checks a SKILL.md.
 * @param folder name of the skill's folder: its name where the front matter gives none
 * @throws ApiError 400 that names the field and the rule
 */
export async function readManifest(bytes: Uint8Array, folder: string): Promise<SkillManifest> {
  const fields = await frontMatter(bytes);
  return { name: checkName(fields.get("name") ?? folder), description: checkDescription(fields.get("description")) };
}

async function frontMatter(bytes: Uint8Array): Promise<Map<string, unknown>> {
  const head = Buffer.from(bytes.subarray(0, MAX_HEAD_BYTES))
    .toString("utf8")
    .replace(/^\ufeff/, "");
  const match = /^---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|$)/ms.exec(head);
  if (match === null) {
    invalid(`SKILL.md must begin with a front matter of at most ${MAX_HEAD_BYTES / 1024} KB, such as:\n${SAMPLE}`);
  }
  // Loaded with the first upload: the engine's start need not wait for it.
  const { parse } = await import("yaml");
  let value: unknown;
  try {
    // Every scalar is a text in this schema: a skill may be named 2048 and described as "yes".
    value = parse(match[1] ?? "", { schema: "failsafe", maxAliasCount: 0, prettyErrors: false });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    invalid(`The front matter of SKILL.md is not valid YAML: ${why}. Put texts that contain ": " in quotes.`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    invalid(`The front matter of SKILL.md must have the fields name and description, such as:\n${SAMPLE}`);
  }
  return new Map(Object.entries(value));
}

function checkName(name: unknown): string {
  if (typeof name !== "string" || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || name.length > MAX_NAME) {
    invalid(
      `SKILL.md: \`name\` must be 1 to ${MAX_NAME} lower-case letters and digits, with single hyphens between them, such as "my-skill" (it is ${shown(name)}).`,
    );
  }
  const reserved = RESERVED.find((word) => name.includes(word));
  if (reserved !== undefined) invalid(`SKILL.md: \`name\` must not contain the reserved word "${reserved}".`);
  return name;
}

function checkDescription(description: unknown): string {
  if (typeof description !== "string" || description.trim() === "") {
    invalid("SKILL.md: `description` is required: a text that says what the skill does and when to use it.");
  }
  if (description.length > MAX_DESCRIPTION) {
    invalid(
      `SKILL.md: \`description\` must have at most ${MAX_DESCRIPTION} characters (it has ${description.length}).`,
    );
  }
  if (XML_TAG.test(description)) invalid("SKILL.md: `description` must not contain XML tags.");
  if (/[^\P{Cc}\t\r\n]|\ufffd/u.test(description) || !description.isWellFormed()) {
    invalid("SKILL.md: `description` contains characters that are no text.");
  }
  return description.trim();
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : "no text";
}
