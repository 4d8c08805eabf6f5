/** A model that says secrets in every way it has: in errors, texts, calls, and by tools that say them. */
import type { Reply, ScriptRequest, ScriptTurn } from "../model_server/script.ts";
import type { Canaries } from "./search.ts";

const reversed = (text: string): string => [...text].reverse().join("");
/** Quoted for a shell: no value may become a program. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Each value as it is and as it may be dumped. */
export function dumped(canaries: Canaries): string {
  const forms = Object.values(canaries).flatMap((value) => [
    value,
    JSON.stringify({ value }),
    JSON.stringify(JSON.stringify({ value })),
    encodeURIComponent(value),
    Buffer.from(value).toString("base64"),
    Buffer.from(`user:${value}`).toString("base64"),
    Buffer.from(`xx${value}`).toString("base64url"),
    Buffer.from(`${value}\n`.repeat(4)).toString("base64").replace(/.{76}/g, "$&\n"),
  ]);
  return forms.join("\n");
}

/**
 * A session of five requests. The tools get the values backwards, which is no form that anybody could know, and turn
 * them round themselves.
 */
export function hostileModel(canaries: () => Canaries): (request: ScriptRequest) => ScriptTurn {
  let failed = false;
  return ({ turn }) => {
    const known = canaries();
    if (!failed) {
      failed = true;
      const message = `Overloaded while serving ${dumped(known)}`;
      const headers = { "retry-after-ms": "10", "x-echo": Object.values(known)[0] ?? "" };
      return { status: 529, error: { type: "overloaded_error", message }, headers };
    }
    if (turn === 0) return speaking(known);
    if (turn === 1) return toolSpeaking(known);
    if (turn === 2) return { content: [{ type: "text", text: `Once more: ${dumped(known)}` }, storing(known)] };
    return { content: [{ type: "text", text: `Done. ${dumped(known)}` }], delta_chars: 7 };
  };
}

function speaking(known: Canaries): Reply {
  const input = { command: "true", description: dumped(known), [Object.values(known)[1] ?? "k"]: Object.values(known) };
  return {
    content: [
      { type: "thinking", thinking: "Let me look." },
      { type: "text", text: dumped(known) },
      { type: "tool_use", name: "bash", input },
    ],
    delta_chars: 5,
  };
}

/** Output that was never in a request or an answer; some of it longer than an event may be. */
function toolSpeaking(known: Canaries): Reply {
  const lines = Object.values(known).flatMap((value) => {
    const back = `printf %s ${quoted(reversed(value))} | rev`;
    return [back, `${back} | base64`, `echo x$(${back})y`];
  });
  const long = `${lines.join("; echo; ")}; for i in $(seq 1 3000); do echo "line $i of padding"; done; ${lines.join("; echo; ")}`;
  return { content: [{ type: "tool_use", name: "bash", input: { command: long } }] };
}

function storing(known: Canaries): Reply["content"][number] {
  const file = "/mnt/session/outputs/report.txt";
  const lines = Object.values(known).map(
    (value) => `printf %s ${quoted(reversed(value))} | rev >> ${file}; echo >> ${file}`,
  );
  return { type: "tool_use", name: "bash", input: { command: lines.join("\n") } };
}
