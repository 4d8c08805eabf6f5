/** Many sessions with one credential of a real authorization server, through expiry, rotation and revocation. */
import { afterEach, expect, test } from "vitest";
import type { CredentialRef } from "../../contract/vaults/grants.ts";
import { revoke } from "./revocation.ts";
import { browse, type OidcServer, startOidcServer } from "./testing/oidc_server.ts";
import { hex, type SignInRig, signInRig, stopRigs } from "./testing/sign_in_rig.ts";

const SESSIONS = 20;
/** Short enough to expire in a test, long enough for a request on a busy machine. */
const SECONDS = 3;

let server: OidcServer;
afterEach(() => {
  server.close();
  stopRigs();
});

async function signIn(rig: SignInRig, begin = rig.wish(server.mcpUrl)): Promise<CredentialRef> {
  const { authorization_url } = await rig.signIns.begin(begin);
  const page = await browse(authorization_url);
  expect(await page.text()).toContain("You are signed in");
  expect(await rig.outcome(begin.flow_id)).toMatchObject({ state: "done" });
  return rig.refOf(begin);
}

const call = async (token: string): Promise<number> => {
  const response = await fetch(server.mcpUrl, { method: "POST", headers: { authorization: `Bearer ${token}` } });
  await response.body?.cancel();
  return response.status;
};

/** One request as the route sends it: a refusal is answered with another token, once. Null when a person must sign in. */
async function send(
  rig: SignInRig,
  ref: CredentialRef,
  token: string,
): Promise<{ status: number; token: string } | null> {
  const status = await call(token);
  if (status !== 401) return { status, token };
  const renewed = await rig.credentials.renewed(ref, token);
  return renewed === null ? null : { status: await call(renewed.token), token: renewed.token };
}

test("20 sessions through three expiries: one refresh for each, and no call fails", { timeout: 60_000 }, async () => {
  server = await startOidcServer(SECONDS);
  const rig = signInRig();
  const ref = await signIn(rig);
  const statuses: (number | null)[] = [];
  const session = async (number: number): Promise<void> => {
    let { token } = await rig.credentials.bearer(ref);
    while (server.refreshes < 3) {
      // Half of them hold on to their token until the server refuses it, as a request that takes long does.
      if (number % 2 === 0) token = (await rig.credentials.bearer(ref)).token;
      const sent = await send(rig, ref, token);
      statuses.push(sent?.status ?? null);
      token = sent?.token ?? token;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, (_, number) => session(number)));
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(server.errors).toEqual([]);
  // Every token that was given was used: none was fetched beside another. A refresh token that is used twice is an error.
  const { token } = await rig.credentials.bearer(ref);
  expect(new Set([...server.taken, token]).size).toBe(server.refreshes + 1);
});

test("a revoked sign-in: sessions are told, a person signs in again, all go on", { timeout: 60_000 }, async () => {
  server = await startOidcServer(600);
  const rig = signInRig();
  const begin = rig.wish(server.mcpUrl);
  const ref = await signIn(rig, begin);
  const { token } = await rig.credentials.bearer(ref);
  expect(await call(token)).toBe(200);
  // The server ends what it gave; the token itself still has a while to live in the sessions.
  expect(await revoke(ref, rig.credentials)).toMatchObject({ state: "revoked" });
  const restarted = signInRig({}, rig);
  const told = await Promise.all(Array.from({ length: SESSIONS }, () => send(restarted, ref, token)));
  expect(new Set(told)).toEqual(new Set([null]));
  expect(server.errors).toHaveLength(1);

  const next = await signIn(restarted, { ...begin, flow_id: hex(), secret_id: hex() });
  // Some sessions still hold the former value's id.
  const again = await Promise.all([ref, next].map((one) => send(restarted, one, token)));
  expect(again.map((one) => one?.status)).toEqual([200, 200]);
  expect(server.errors).toHaveLength(1);
});

test("a refresh token that was revoked behind its back is told, too", { timeout: 60_000 }, async () => {
  server = await startOidcServer(600);
  const rig = signInRig();
  const ref = await signIn(rig);
  const { token } = await rig.credentials.bearer(ref);
  await server.revokeGrantOf(token);
  const restarted = signInRig({}, rig);
  expect(await restarted.credentials.renewed(ref, token)).toBeNull();
  expect(await restarted.credentials.renewed(ref, token)).toBeNull();
  expect(server.errors).toHaveLength(1);
});
