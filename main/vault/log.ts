/** The broker's log: JSON lines on stderr. Known secrets are masked in every line, whatever a caller logs. */
import pino, { type Logger } from "pino";
import type { Redactor } from "./redact.ts";

const SECRET_FIELDS = [
  "authorization",
  "x-api-key",
  "cookie",
  "token",
  "api_key",
  "auth_token",
  "launch_secret",
  "headers",
];

export type BrokerLog = Logger;

/**
 * @param redactor knows the secrets of this launch
 * @param write takes one finished line; the default is stderr
 */
export function brokerLog(
  redactor: Redactor,
  write: (line: string) => void = (line) => void process.stderr.write(line),
): BrokerLog {
  return pino(
    {
      name: "longhaul-broker",
      level: process.env.LONGHAUL_LOG_LEVEL ?? "info",
      redact: {
        paths: [...SECRET_FIELDS, ...SECRET_FIELDS.map((field) => `*["${field}"]`)].map(quoted),
        censor: "[redacted]",
      },
    },
    { write: (line: string) => write(redactor.text(line)) },
  );
}

/** A field with a dash is addressed in brackets. */
const quoted = (path: string): string => (/^[a-z_]+$/.test(path) || path.includes("[") ? path : `["${path}"]`);
