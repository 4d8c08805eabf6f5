/** The engine's log: JSON lines on stderr. It holds ids and errors, never message bodies, tokens or keys. */
import pino from "pino";

const stderr = pino.destination(2);
let scrub: (line: string) => string = (line) => line;

/** What an error says may come from a tool or a server: known secret values are masked in every line from now on. */
export function scrubLog(mask: (line: string) => string): void {
  scrub = mask;
}

export const log = pino(
  {
    name: "longhaul-engine",
    level: process.env["LONGHAUL_LOG_LEVEL"] ?? "info",
    redact: {
      paths: [
        "token",
        "api_key",
        "auth_token",
        "authorization",
        "launch_secret",
        "*.token",
        "*.api_key",
        "*.auth_token",
      ],
      censor: "[redacted]",
    },
  },
  { write: (line: string) => void stderr.write(scrub(line)) },
);
