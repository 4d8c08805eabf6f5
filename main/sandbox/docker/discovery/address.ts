/** Where a container engine listens, read from the forms that `DOCKER_HOST` and Docker contexts use. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Credentials for a TLS connection, as PEM texts. */
export interface TlsMaterial {
  ca: string | null;
  cert: string | null;
  key: string | null;
  /** False: the server's certificate is not checked (a context's `SkipTLSVerify`). */
  verify: boolean;
}

export interface EngineAddress {
  /** As it may be shown: no user name, password or key. */
  shown: string;
  /** Path of a Unix socket or Windows pipe; null for a network address. */
  socket: string | null;
  host: string;
  port: number;
  /** Reads the TLS material; null: a plain connection. Throws {@link BadAddress} when a file cannot be read. */
  tls: (() => TlsMaterial) | null;
}

/** The address cannot be used; `message` says what is wrong with it and what to do, without the address's secrets. */
export class BadAddress extends Error {
  override readonly name = "BadAddress";
}

export function socketAddress(path: string, scheme: "unix" | "npipe" = "unix"): EngineAddress {
  return { shown: `${scheme}://${path}`, socket: path, host: "localhost", port: 0, tls: null };
}

/**
 * @param name where the address comes from, for messages: "DOCKER_HOST", "the Docker context "x""
 * @param tls how to read TLS material when the connection is to be encrypted; null: plain, unless the port says otherwise
 * @throws BadAddress
 */
export function parseAddress(value: string, name: string, tls: (() => TlsMaterial) | null): EngineAddress {
  const text = value.trim();
  const scheme = /^([a-z]+):\/\//i.exec(text)?.[1]?.toLowerCase() ?? "tcp";
  if (scheme === "unix" || scheme === "npipe") {
    const path = text.slice(scheme.length + 3);
    if (path === "" || path.includes("\0")) {
      throw new BadAddress(`${name} names no socket: write for example unix:///var/run/docker.sock.`);
    }
    return socketAddress(path, scheme);
  }
  if (scheme === "ssh") {
    throw new BadAddress(
      `${name} is an ssh:// address, which Longhaul cannot use by itself. Forward the socket and name that instead: ` +
        "`ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST &`, then DOCKER_HOST=unix:///tmp/docker.sock.",
    );
  }
  if (scheme !== "tcp" && scheme !== "http" && scheme !== "https") {
    throw new BadAddress(`${name} begins with ${scheme}://: use unix://, npipe:// or tcp://.`);
  }
  const rest = text.replace(/^[a-z]+:\/\//i, "");
  // Parsed as http: URL knows no ports and hosts of a scheme of its own.
  const url = URL.canParse(`http://${rest}`) ? new URL(`http://${rest}`) : null;
  if (url === null || url.hostname === "") {
    throw new BadAddress(`${name} is no address of an engine: write for example tcp://127.0.0.1:2375.`);
  }
  const encrypted = scheme === "https" || tls !== null;
  // A URL leaves out the port that is the default of http.
  const port = url.port !== "" ? Number(url.port) : /:80(\/|$)/.test(rest) ? 80 : encrypted ? 2376 : 2375;
  const material = tls ?? (encrypted ? () => ({ ca: null, cert: null, key: null, verify: true }) : null);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return { shown: `tcp://${url.hostname}:${port}`, socket: null, host, port, tls: material };
}

/**
 * `ca.pem`, `cert.pem` and `key.pem` of a folder; those that are missing stay null when `partial` allows it.
 * @throws BadAddress that names the file
 */
export function readTls(folder: string, verify: boolean, partial: boolean): TlsMaterial {
  return {
    ca: readPem(join(folder, "ca.pem"), partial || !verify),
    cert: readPem(join(folder, "cert.pem"), partial),
    key: readPem(join(folder, "key.pem"), partial),
    verify,
  };
}

function readPem(path: string, mayMiss: boolean): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    if (mayMiss && code === "ENOENT") return null;
    throw new BadAddress(
      `The container engine is to be reached with TLS, but ${path} cannot be read (${code}). Put the certificate there, ` +
        "correct DOCKER_CERT_PATH, or unset DOCKER_TLS_VERIFY.",
    );
  }
}
