import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { SandboxVariable } from "../../port.ts";
import { placeholders, shellText, unusableNames } from "./environment.ts";

const variable = (name: string, placeholder = `lhv_${name}`): SandboxVariable => ({
  name,
  placeholder,
  hosts: null,
  credential: { vault_id: "vlt_1", credential_id: "vcrd_1", secret_id: "0".repeat(32), issuer: name },
});

/** What a shell prints of `names` after it has read the text. */
function read(shell: string, text: string, names: string[], env: Record<string, string> = {}): string[] {
  const folder = mkdtempSync(join(tmpdir(), "shell-text-"));
  const file = join(folder, "variables");
  writeFileSync(file, text);
  const print = names.map((name) => `printf '%s\\n' "\${${name}-unset}"`).join("; ");
  const options: ExecFileSyncOptionsWithStringEncoding = {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    encoding: "utf8",
    // A socket would make bash take itself for a remote shell.
    stdio: ["ignore", "pipe", "pipe"],
  };
  const out = execFileSync(shell, ["-euc", `. ${file}; ${print}`], options);
  rmSync(folder, { recursive: true });
  return out.trimEnd().split("\n");
}

test.each(["bash", "sh"])("%s reads placeholders, trust and the way out", (shell) => {
  const text = shellText(
    [variable("TOKEN"), variable("SSL_CERT_FILE")],
    { HTTPS_PROXY: "http://127.0.0.1:3128" },
    null,
  );
  const version = /^: ([0-9a-f]{16})\n/.exec(text)?.[1];
  const names = ["TOKEN", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "HTTPS_PROXY", "LONGHAUL_VARIABLES"];
  expect(read(shell, text, names)).toEqual([
    "lhv_TOKEN",
    // Programs must go on trusting what they have to, whatever a credential is called.
    "/opt/longhaul/authorities.pem",
    "/opt/longhaul/authority.pem",
    "http://127.0.0.1:3128",
    version,
  ]);
});

test("the version follows the content, so that a shell reads a new one once", () => {
  const one = shellText([variable("TOKEN")], {}, null);
  expect(shellText([variable("TOKEN")], {}, null)).toBe(one);
  expect(shellText([variable("TOKEN", "lhv_other")], {}, null).split("\n")[0]).not.toBe(one.split("\n")[0]);
});

test.each(["bash", "sh"])("%s forgets a way out that leads nowhere, and keeps the person's own", (shell) => {
  const text = shellText([], {}, "http://127.0.0.1:3128");
  const ours = { HTTPS_PROXY: "http://127.0.0.1:3128", https_proxy: "http://company:8080" };
  expect(read(shell, text, ["HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE"], ours)).toEqual([
    "unset",
    "http://company:8080",
    "unset",
  ]);
});

test("no credential takes the place of what the sandbox itself needs", () => {
  const names = ["PATH", "HOME", "LD_PRELOAD", "BASH_ENV", "LONGHAUL_CALL", "IFS"];
  const variables = [...names, "TOKEN", "PATHS"].map((name) => variable(name));
  expect(Object.keys(placeholders(variables))).toEqual(["TOKEN", "PATHS"]);
  expect(unusableNames(variables)).toEqual(names);
});
