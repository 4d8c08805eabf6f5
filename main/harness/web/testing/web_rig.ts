/** A session that has been shown two URLs, and the web tools on a scripted endpoint. */
import type { Reply, ScriptRequest, ScriptTurn } from "../../../../e2e/model_server/script.ts";
import type { ModelServerOptions } from "../../../../e2e/model_server/server.ts";
import type { SessionAgent } from "../../../contract/events.ts";
import { message, type Rig, snapshot, startRig } from "../../../orchestration/testing/rig.ts";
import type { WebCall, WebResult } from "../port.ts";

export const PAGE = "https://docs.example.com/guide";
export const RESULTS = [
  { url: PAGE, title: "The guide", page_age: "3 days ago" },
  { url: "https://other.example/x", title: "Other" },
];
/** A search that finds something. */
export const FOUND: Reply = {
  content: [
    { type: "web_search", query: "guide", results: RESULTS },
    {
      type: "text",
      text: "The guide says 42.",
      citations: [{ url: PAGE, title: "The guide", cited_text: "It is 42." }],
    },
  ],
};

type Config = Extract<SessionAgent["tools"][number], { type: "agent_toolset_20260401" }>["configs"][number];

const ALLOW = { enabled: true, permission_policy: { type: "always_allow" } } as const;

/** An agent's entry for one of the web tools. */
export function configOf(name: WebCall["tool"], more: object): Config {
  const sources = name === "web_fetch" ? { url_sources: null } : {};
  return { name, type: name, ...ALLOW, ...sources, ...more } as Config;
}

export interface WebRig {
  rig: Rig;
  session_id: string;
  run(tool: WebCall["tool"], input: unknown, config?: Config[], signal?: AbortSignal): Promise<WebResult>;
  /** Bodies of the requests so far. */
  sent(): Rig["server"]["requests"][number]["body"][];
}

export async function startWebRig(
  script: ScriptTurn[] | ((request: ScriptRequest) => ScriptTurn),
  endpoint: Partial<ModelServerOptions> = {},
): Promise<WebRig> {
  const rig = await startRig(script, {}, endpoint);
  // Nothing runs this session: its message only shows the URLs.
  const session_id = await rig.create();
  await rig.send(session_id, message(`Read ${PAGE} and https://docs.example.com/a.pdf, please.`));
  return {
    rig,
    session_id,
    run: (tool, input, configs = [], signal = new AbortController().signal) => {
      const toolset = { type: "agent_toolset_20260401" as const, default_config: ALLOW, configs };
      const agent = { ...snapshot().agent, tools: [toolset] };
      return rig.ports.web.execute({ session_id, agent, tool, input }, signal);
    },
    sent: () => rig.server.requests.map((request) => request.body),
  };
}

/** The result's text; other blocks as JSON. */
export function textOf({ content }: WebResult): string {
  return content.map((block) => (block.type === "text" ? block.text : JSON.stringify(block))).join("\n---\n");
}
