/**
 * The tools of `agent_toolset_20260401` that run in a sandbox, as the model is told of them. Inputs are the SDK's
 * `BetaManagedAgentsAgentToolset20260401*Input`; what the tools answer is in the file of each tool.
 */

/** What repeating a call can do: nothing (`read`), the same again (`keyed`), or something more (`effect`). */
export type EffectClass = "read" | "keyed" | "effect";

export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the input. Key order is fixed: these bytes are part of every cached prompt. */
  readonly input_schema: {
    readonly type: "object";
    readonly properties: Readonly<Record<string, unknown>>;
    readonly required: readonly string[];
  };
  readonly effect: EffectClass;
}

const filePath = { type: "string", description: "Path of the file: absolute, or relative to /workspace." };

const bash: ToolDefinition = {
  name: "bash",
  description:
    "Runs a command in a persistent bash shell that starts in /workspace. The working directory and environment " +
    "variables stay for later calls. Answers with standard output and standard error together; only the last 100 KiB " +
    "are shown and the whole output is then in a file that the answer names. A non-zero exit status is an error. " +
    "Commands get no input: pass flags that keep them from asking. A command that exceeds its timeout is stopped and the " +
    "shell starts anew, so run long work with a larger timeout_ms.",
  input_schema: {
    type: "object",
    properties: {
      command: { type: "string", description: "The command to run. Leave it out only to restart the shell." },
      restart: { type: "boolean", description: "Starts a fresh shell first: variables and the directory are reset." },
      timeout_ms: { type: "integer", description: "Limit in milliseconds; 120000 when left out." },
    },
    required: [],
  },
  effect: "effect",
};

const read: ToolDefinition = {
  name: "read",
  description:
    "Reads a text file and answers with its text as it is, without line numbers. At most 256 KiB at a time: use " +
    "view_range for parts of larger files.",
  input_schema: {
    type: "object",
    properties: {
      file_path: filePath,
      view_range: {
        type: "array",
        items: { type: "integer" },
        description: "[first line, last line], counted from 1 and inclusive; a last line of 0 or less means the end.",
      },
    },
    required: ["file_path"],
  },
  effect: "read",
};

const write: ToolDefinition = {
  name: "write",
  description: "Writes a whole text file: creates it with its folders, or replaces what was there.",
  input_schema: {
    type: "object",
    properties: { file_path: filePath, content: { type: "string", description: "The whole text of the file." } },
    required: ["file_path", "content"],
  },
  effect: "keyed",
};

const edit: ToolDefinition = {
  name: "edit",
  description:
    "Replaces a piece of text in a file. old_string must be in the file exactly once, white space included, unless " +
    "replace_all is set. Read the file first.",
  input_schema: {
    type: "object",
    properties: {
      file_path: filePath,
      old_string: { type: "string", description: "The text to replace, exactly as it is in the file." },
      new_string: { type: "string", description: "The text to put in its place." },
      replace_all: { type: "boolean", description: "Replaces every occurrence." },
    },
    required: ["file_path", "old_string", "new_string"],
  },
  effect: "effect",
};

const glob: ToolDefinition = {
  name: "glob",
  description:
    "Finds files whose path matches a glob pattern such as **/*.ts. Answers with absolute paths, newest first, at most " +
    "200. Skips .git and node_modules.",
  input_schema: {
    type: "object",
    properties: {
      pattern: { type: "string", description: "Relative glob pattern; ** crosses folders." },
      path: { type: "string", description: "Folder to search in; /workspace when left out." },
    },
    required: ["pattern"],
  },
  effect: "read",
};

const grep: ToolDefinition = {
  name: "grep",
  description:
    "Searches the text of files for a regular expression. Answers with file:line:text for every match. Skips .git, " +
    "node_modules and binary files.",
  input_schema: {
    type: "object",
    properties: {
      pattern: { type: "string", description: "Regular expression (JavaScript syntax), matched within one line." },
      path: { type: "string", description: "File or folder to search; /workspace when left out." },
    },
    required: ["pattern"],
  },
  effect: "read",
};

/** In the order in which they are offered to the model. */
export const toolDefinitions: readonly ToolDefinition[] = [bash, read, write, edit, glob, grep];

/** Effect class of a tool by name; a tool that nobody knows must be taken for the worst. */
export function effectOf(name: string): EffectClass {
  return toolDefinitions.find((definition) => definition.name === name)?.effect ?? "effect";
}
