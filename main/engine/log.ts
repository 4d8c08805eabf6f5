/** The engine's log: JSON lines on stderr. It holds ids and errors, never message bodies, tokens or keys. */
import pino from "pino";

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
  pino.destination(2),
);
