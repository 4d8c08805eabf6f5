import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type SecureContext, TLSSocket } from "node:tls";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSealedStore } from "../../../sealed/open_store.ts";
import { fakeKeychain, keychainKeys } from "../../../sealed/testing/keys.ts";
import { tcpServer } from "../../testing/raw_connect.ts";
import { EgressAuthority } from "./authority.ts";

const DAY_MS = 86_400_000;

let dir = "";
let keychain = fakeKeychain();
let now = Date.now();
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "longhaul-authority-"));
  keychain = fakeKeychain();
  now = Date.now();
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const store = () => openSealedStore(dir, { keychain: keychainKeys(keychain), passphrase: null });
const authority = () => new EgressAuthority(store(), dir, () => now);
const shown = () => join(dir, "vault", "egress_authority.pem");

/** The certificate that a client gets which trusts `ca` only; rejects when it does not trust it. */
async function handshake(context: SecureContext, ca: string | string[], host: string): Promise<string> {
  const server = await tcpServer((socket) => {
    new TLSSocket(socket, { isServer: true, secureContext: context }).on("error", () => undefined);
  });
  try {
    return await new Promise((resolve, reject) => {
      const servername = /^[\d.]+$/.test(host) ? {} : { servername: host };
      const client = connect({
        port: server.port,
        host: "127.0.0.1",
        ca,
        ...servername,
        checkServerIdentity: () => undefined,
      });
      client.once("error", reject);
      client.once("secureConnect", () => {
        const certificate = client.getPeerX509Certificate();
        client.destroy();
        resolve(certificate?.checkHost(host) ?? certificate?.checkIP(host) ?? "another host");
      });
    });
  } finally {
    await server.close();
  }
}

test("one authority per install: made once, kept sealed, the same after a restart", async () => {
  const first = authority();
  const [one, two] = await Promise.all([first.certificate(), first.certificate()]);
  expect(one).toBe(two);
  const context = await authority().contextFor("api.example.com");
  expect(await authority().certificate()).toBe(one);
  expect(await handshake(context, one, "api.example.com")).toBe("api.example.com");
  const address = await first.contextFor("203.0.113.7");
  expect(await handshake(address, one, "203.0.113.7")).toBe("203.0.113.7");
  const { ca, issuer, subject, validTo, validFrom } = new X509Certificate(one);
  expect(ca).toBe(true);
  expect(issuer).toBe(subject);
  expect((Date.parse(validTo) - Date.parse(validFrom)) / DAY_MS).toBeCloseTo(731, 1);
});

test("its key is nowhere in plain text, and no list of the engine names it", async () => {
  await authority().certificate();
  const file = await readFile(join(dir, "vault", "credentials.json"), "utf8");
  expect(file).toContain("egress_authority");
  expect(file).not.toContain("PRIVATE KEY");
  expect(await readFile(shown(), "utf8")).not.toContain("PRIVATE KEY");
  expect(await store().list()).toEqual([]);
});

test("the certificate is had while the keychain is locked; what needs the key is refused", async () => {
  const certificate = await authority().certificate();
  keychain.mode = "locked";
  expect(await authority().certificate()).toBe(certificate);
  await expect(authority().contextFor("a.test")).rejects.toMatchObject({ code: "keychain_locked" });
  await rm(shown());
  await expect(authority().certificate()).rejects.toMatchObject({ code: "keychain_locked" });
  keychain.mode = "open";
  expect(await authority().certificate()).toBe(certificate);
});

test("a renewed certificate has the same key: sandboxes with the old one trust what is signed", async () => {
  const running = authority();
  const old = await running.certificate();
  now += 650 * DAY_MS;
  const renewed = await running.certificate();
  expect(renewed).not.toBe(old);
  expect(await authority().certificate()).toBe(renewed);
  const keyOf = (pem: string) => new X509Certificate(pem).publicKey.export({ type: "spki", format: "pem" });
  expect(keyOf(renewed)).toBe(keyOf(old));
  expect(new X509Certificate(renewed).subject).toBe(new X509Certificate(old).subject);
  now = Date.now();
  const context = await authority().contextFor("api.example.com");
  expect(await handshake(context, old, "api.example.com")).toBe("api.example.com");
});

test("hosts' certificates last some days, and are made anew in time", async () => {
  const running = authority();
  const first = await running.contextFor("api.example.com");
  expect(await running.contextFor("api.example.com")).toBe(first);
  now += 4.5 * DAY_MS;
  expect(await running.contextFor("api.example.com")).not.toBe(first);
});

test("a key that the keychain lost, and a spoiled copy of the certificate, are made good", async () => {
  const old = await authority().certificate();
  await writeFile(shown(), "-----BEGIN CERTIFICATE-----\nspoiled\n");
  expect(await authority().certificate()).toBe(old);
  expect(await readFile(shown(), "utf8")).toBe(old);
  keychain.items.clear();
  const context = await authority().contextFor("api.example.com");
  const fresh = await authority().certificate();
  expect(fresh).not.toBe(old);
  expect(await handshake(context, fresh, "api.example.com")).toBe("api.example.com");
  await expect(handshake(context, old, "api.example.com")).rejects.toThrow();
});

test("where nothing can be written there is no authority, in words", async () => {
  const nowhere = openSealedStore("/proc/nowhere", { keychain: keychainKeys(keychain), passphrase: null });
  await expect(new EgressAuthority(nowhere, "/proc/nowhere").certificate()).rejects.toMatchObject({
    code: "store_unwritable",
  });
});
