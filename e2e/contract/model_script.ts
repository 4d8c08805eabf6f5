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
  delegate: "Please hand this on to another agent.",
} as const;

/** A script with its own memory of whom it was overloaded for. */
export function answer(): (request: ScriptRequest) => ScriptTurn {
  const overloadedFor = new Set<string>();
  return (request) => {
    const { lastText, results } = request;
    const verdict = graderAnswer(request);
    if (verdict !== null) return verdict;
    if (lastText.includes("Write a summary")) return say("SUMMARY: what was asked is done.");
    if (results.size > 0) return say(`Done: ${[...results.values()].map(({ text }) => text.trim()).join(" | ")}`);
    if (lastText.includes(ASK.command)) {
      const command = lastText.slice(lastText.indexOf(ASK.command) + ASK.command.length).split("\n")[0] ?? "";
      return call({ name: "bash", input: { command } });
    }
    if (lastText.includes(ASK.delegate)) return handedOn(request);
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

/** A call of the tool that hands a task on, with whatever fields its schema wants. */
function handedOn({ body }: ScriptRequest): ScriptTurn {
  const tools = (body.tools ?? []) as { name: string; description?: string; input_schema?: Schema }[];
  const tool = tools.find(({ name }) => name === "send_to_agent") ?? tools.find(({ name }) => name.includes("agent"));
  if (tool === undefined) return say("There is nobody to hand this on to.");
  const agent = /[\w-]*agent[ _-]\d[\w-]*/.exec(JSON.stringify([body.system, tool]))?.[0] ?? "agent";
  return call({ name: tool.name, input: filled(tool.input_schema ?? {}, agent) });
}

interface Schema {
  type?: string;
  enum?: unknown[];
  properties?: Record<string, Schema>;
  required?: string[];
}

function filled(schema: Schema, agent: string): Record<string, unknown> {
  const values = (schema.required ?? []).map((name): [string, unknown] => {
    const field = schema.properties?.[name] ?? {};
    if (field.enum !== undefined) return [name, field.enum.includes("satisfied") ? "satisfied" : field.enum[0]];
    if (field.type === "boolean") return [name, true];
    if (field.type === "number" || field.type === "integer") return [name, 1];
    if (field.type === "array") return [name, []];
    if (field.type === "object") return [name, filled(field, agent)];
    return [name, /agent|thread|name|^to$/.test(name) ? agent : "Please say hello."];
  });
  return Object.fromEntries(values);
}

/** The grader of an outcome asks with the rubric; its verdict goes back in the form that it asks for. */
function graderAnswer({ body }: ScriptRequest): ScriptTurn | null {
  if (!JSON.stringify(body.system ?? "").match(/\b(grade|grader|rubric)\b/i)) return null;
  const slow = JSON.stringify(body.messages).includes("SLOWLY") ? { first_byte_ms: 12_000 } : {};
  const [tool] = (body.tools ?? []) as { name: string; input_schema?: Schema }[];
  const reply =
    tool === undefined
      ? say(JSON.stringify({ result: "satisfied", explanation: "It greets." }))
      : call({ name: tool.name, input: filled(tool.input_schema ?? {}, "") });
  return { ...reply, ...slow };
}
