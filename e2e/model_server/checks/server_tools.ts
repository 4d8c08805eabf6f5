/** Shapes of the web tools that the API runs itself. */
import { cacheControl } from "./blocks.ts";
import { reject } from "./rejection.ts";
import {
  anything,
  boolean,
  type Check,
  type Field,
  fields,
  integer,
  type Json,
  list,
  nullable,
  oneOf,
  optional,
  required,
  string,
  tagged,
} from "./shape.ts";

const type = required(anything);

/** Host names; a search also takes a path behind one. Empty lists, schemes and both lists at once are refused. */
const domains =
  (path: boolean): Check =>
  (value, at) => {
    list(string)(value, at);
    if ((value as string[]).length === 0) reject(`${at}: List should have at least 1 item after validation, not 0`);
    for (const entry of value as string[]) {
      const shape = path ? /^[^\s/:*]+(\/\S*)?$/ : /^[^\s/:*]+$/;
      if (!shape.test(entry)) reject(`${at}: Invalid domain '${entry}': use a plain host name without a scheme`);
    }
  };

const userLocation = fields({
  type: required(oneOf("approximate")),
  city: optional(nullable(string)),
  country: optional(nullable(string)),
  region: optional(nullable(string)),
  timezone: optional(nullable(string)),
});

const toolReference = fields({ type: required(oneOf("tool_reference")), name: required(string) });
const none = fields({ type });
const filter = tagged({
  all: none,
  none,
  only: fields({ type, tools: required(list(toolReference)) }),
  except: fields({ type, tools: required(list(toolReference)) }),
});

const shared = (name: string): Record<string, Field> => ({
  type,
  name: required(oneOf(name)),
  max_uses: optional(nullable(integer(1))),
  cache_control: optional(cacheControl),
  strict: optional(boolean),
  defer_loading: optional(boolean),
  allowed_callers: optional(list(string)),
});

const searchFields = (extra: Record<string, Field>): Check =>
  fields({
    ...shared("web_search"),
    allowed_domains: optional(nullable(domains(true))),
    blocked_domains: optional(nullable(domains(true))),
    user_location: optional(nullable(userLocation)),
    ...extra,
  });

const fetchFields = (extra: Record<string, Field>): Check =>
  fields({
    ...shared("web_fetch"),
    allowed_domains: optional(nullable(domains(false))),
    blocked_domains: optional(nullable(domains(false))),
    max_content_tokens: optional(nullable(integer(1))),
    citations: optional(nullable(fields({ enabled: optional(boolean) }))),
    url_sources: optional(
      nullable(
        fields({
          client_tool_results: optional(filter),
          server_tool_results: optional(filter),
          user_input: optional(tagged({ all: none, none })),
        }),
      ),
    ),
    ...extra,
  });

const cached = { use_cache: optional(boolean) };
const included = { response_inclusion: optional(oneOf("full", "excluded")) };

const VERSIONS: Record<string, Check> = {
  web_search_20250305: searchFields({}),
  web_search_20260209: searchFields({}),
  web_search_20260318: searchFields(included),
  web_fetch_20250910: fetchFields({}),
  web_fetch_20260209: fetchFields({}),
  web_fetch_20260309: fetchFields(cached),
  web_fetch_20260318: fetchFields({ ...cached, ...included }),
};

/** True for a tool type that {@link serverTool} checks or refuses. */
export const isServerToolType = (value: string): boolean => /^web_(search|fetch)_\d+$/.test(value);

/** A web tool of any version that the API knows. */
export const serverTool: Check = (value, path) => {
  const tool = value as Json;
  const check = Object.hasOwn(VERSIONS, String(tool.type)) ? VERSIONS[String(tool.type)] : undefined;
  if (check === undefined) reject(`${path}: Input tag '${String(tool.type)}' is not a known tool type`);
  check(value, `${path}.${String(tool.type)}`);
  if (tool.allowed_domains != null && tool.blocked_domains != null) {
    reject(`${path}.${String(tool.type)}: allowed_domains and blocked_domains cannot be used at the same time`);
  }
};

/** What endpoints say that know only tools of the client. */
export function refuseServerTools(request: Json): void {
  const tools = (request.tools as Json[] | undefined) ?? [];
  tools.forEach((tool, i) => {
    if (typeof tool.type !== "string" || !isServerToolType(tool.type)) return;
    reject(`tools.${i}: Input tag '${tool.type}' found using 'type' does not match any of the expected tags: 'custom'`);
  });
}
