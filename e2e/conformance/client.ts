/**
 * The client under test of `@modelcontextprotocol/conformance`: a real broker and the engine's MCP client, which holds no
 * token. It does what a session would: lists the server's tools and calls each, and signs in when the server wants it.
 * The suite gives the server's address as the last argument, and in the environment what else the client may know.
 */
import { AuthorizedBroker } from "./authorized_broker.ts";
import { argumentsFor } from "./tool_arguments.ts";

interface Context {
  client_id?: string;
  client_secret?: string;
  /** Calls that the suite wants, in place of one of each tool. */
  toolCalls?: { name: string; arguments: Record<string, unknown> }[];
}

const serverUrl = process.argv.at(-1) ?? "";
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}") as Context;
const { client_id, client_secret } = context;
const broker = await AuthorizedBroker.start({
  serverUrl,
  client: client_id === undefined ? null : { client_id, client_secret: client_secret ?? null },
});
try {
  const { tools, left_out } = await broker.list();
  console.log(`tools: ${tools.map(({ name }) => name).join(", ")}`);
  for (const { name, reason } of left_out) console.log(`left out: ${name}: ${reason}`);
  const calls = context.toolCalls ?? tools.map((tool) => ({ name: tool.name, arguments: argumentsFor(tool, tools) }));
  for (const call of calls) {
    const result = await broker.call(call.name, call.arguments);
    console.log(`${call.name}: ${JSON.stringify(result).slice(0, 500)}`);
  }
} finally {
  await broker.stop();
}
