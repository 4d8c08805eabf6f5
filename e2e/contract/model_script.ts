/** The model of the contract's flows: what it answers depends on the last message of the conversation only. */
import { call, overloaded, type Reply, type ScriptRequest, type ScriptTurn, say } from "../model_server/script.ts";

/** Names of what a message may ask for; anything else is answered with a text. */
export const ASK = {
  command: "Please run: ",
  lookup: "Please look up the weather.",
  thinking: "Please think first.",
  overloaded: "Please be overloaded once.",
  refused: "Please refuse this request.",
  long: "Please write a long text.",
} as const;

/** A script with its own memory of whom it was overloaded for. */
export function answer(): (request: ScriptRequest) => ScriptTurn {
  const overloadedFor = new Set<string>();
  return (request) => {
    const { lastText, results } = request;
    if (lastText.includes("Write a summary")) return say("SUMMARY: what was asked is done.");
    if (results.size > 0) return say(`Done: ${[...results.values()].map(({ text }) => text.trim()).join(" | ")}`);
    if (lastText.includes(ASK.command)) {
      const command = lastText.slice(lastText.indexOf(ASK.command) + ASK.command.length).split("\n")[0] ?? "";
      return call({ name: "bash", input: { command } });
    }
    if (lastText.includes(ASK.lookup)) return call({ name: "lookup", input: { city: "Berlin" } });
    if (lastText.includes(ASK.thinking)) return thinking();
    if (lastText.includes(ASK.refused)) return rejected();
    if (lastText.includes(ASK.long)) return { ...say("A long text. ".repeat(100)), between_events_ms: 20 };
    if (lastText.includes(ASK.overloaded) && !overloadedFor.has(lastText)) {
      overloadedFor.add(lastText);
      return overloaded();
    }
    return say("Hello from the model.");
  };
}

function thinking(): Reply {
  return {
    content: [
      { type: "thinking", thinking: "I think about it." },
      { type: "text", text: "I have thought about it." },
    ],
  };
}

function rejected(): ScriptTurn {
  return { status: 400, error: { type: "invalid_request_error", message: "This request is refused by the script." } };
}
