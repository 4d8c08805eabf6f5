/** What went wrong with a server, as the harness tells it apart. */
import {
  InsufficientScopeError,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
} from "@modelcontextprotocol/client";
import { bounded, oneLine } from "./content/text.ts";
import { McpError, type McpErrorKind } from "./port.ts";
import { ANSWER_LOST } from "./transport/mcp_transport.ts";

const MAX_CHARS = 500;
/** Statuses of servers and of what stands before them that pass. */
const PASSING = [408, 425, 429];

/** @param name of the server, for people */
export function asMcpError(error: unknown, name: string): McpError {
  const known = brokersWord(error);
  if (known !== null) return known;
  const [kind, sent, text] = describe(error);
  return new McpError(kind, sent, bounded(`The MCP server "${name}" ${text}`, MAX_CHARS));
}

/** The request in question was never sent, whatever happened before it. */
export function notSent(error: McpError): McpError {
  return error.sent === "no" ? error : new McpError(error.kind, "no", error.message);
}

/** True when the server no longer knows the session: it has not looked at the request then. */
export function isLostSession(error: unknown): boolean {
  if (!(error instanceof SdkHttpError)) return false;
  if (error.status === 404) return true;
  // Servers made after the SDK's examples answer so after a restart.
  return error.status === 400 && /session/i.test(String(error.data.text ?? ""));
}

/** True when the server answered, but not so that its generation could be told. */
export function isUndecided(error: unknown): boolean {
  return error instanceof SdkError && error.code === SdkErrorCode.EraNegotiationFailed && brokersWord(error) === null;
}

/** The broker's refusal somewhere among the causes: the library wraps it. */
function brokersWord(error: unknown): McpError | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    if (at instanceof McpError) return at;
  }
  return null;
}

type Description = [McpErrorKind, "no" | "maybe", string];

function describe(error: unknown): Description {
  if (error instanceof SdkHttpError) return ofStatus(error.status);
  if (error instanceof InsufficientScopeError) {
    const scope = oneLine(error.requiredScope ?? "", 200);
    const wanted = scope === "" ? "more permissions" : `the permission ${scope}`;
    return ["authentication", "no", `wants ${wanted} for this. Connect it again to give it.`];
  }
  if (error instanceof ProtocolError) {
    if (error.code === ANSWER_LOST) return ["connection", "maybe", `did not answer: ${error.message}`];
    return ["protocol", "no", `refused: ${oneLine(error.message, 300)} (error ${error.code}).`];
  }
  const said = error instanceof Error ? oneLine(error.message, 300) : "";
  if (error instanceof SdkError) {
    if (error.code === SdkErrorCode.RequestTimeout) return ["connection", "maybe", "did not answer in time."];
    if (error.code === SdkErrorCode.ConnectionClosed) return ["connection", "maybe", "was disconnected."];
    return ["protocol", "maybe", `answered with something that is not MCP: ${said}`];
  }
  if (error instanceof SyntaxError || (error instanceof Error && error.name.endsWith("ZodError"))) {
    return ["protocol", "maybe", "answered with something that is not MCP."];
  }
  return ["connection", "maybe", `broke off: ${said}`];
}

function ofStatus(status: number): Description {
  const refused = `answered with HTTP status ${status}`;
  if (status === 401) return ["authentication", "no", `${refused}: it wants a sign-in. Connect it again.`];
  if (status === 403) return ["authentication", "no", `${refused}: it does not allow this with the present sign-in.`];
  if (PASSING.includes(status)) return ["connection", "no", `${refused}. Try again later.`];
  if (status >= 500) return ["connection", "maybe", `${refused}.`];
  return ["protocol", "no", `${refused}: its address may be wrong.`];
}
