/** Programs in real containers, a real broker, and a TLS internet of the test: where the value is, and where it is not. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BrokerEgress } from "../../../engine/broker/broker_egress.ts";
import { BrokerClient } from "../../../harness/broker_client.ts";
import {
  HOST,
  type InterceptedSession,
  interceptedSession,
  removeFolders,
  type TlsInternet,
  tlsInternet,
} from "../../../vault/egress/testing/tls_internet.ts";
import { LAUNCH_SECRET, stopBrokers } from "../../../vault/testing/broker_client.ts";
import { type Hand, type ProvisionStep, SandboxLost, type SandboxProvider } from "../../port.ts";
import { provisionRequest, runTool } from "../../testing/bench.ts";
import { type Install, limitedRequest, newInstall } from "../testing/install.ts";

const TOKEN = "value-that-no-sandbox-sees";

let net: TlsInternet;
let plain: Server;
let install: Install;
const seen: { url: string; authorization: string; body: string; accept: string }[] = [];
const clients: BrokerClient[] = [];

beforeAll(async () => {
  const serve: Parameters<typeof tlsInternet>[0] = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const authorization = String(request.headers.authorization ?? "");
      const body = Buffer.concat(chunks).toString();
      seen.push({ url: request.url ?? "", authorization, body, accept: String(request.headers.accept ?? "") });
      response.end(`${request.headers.host} says ${authorization} ${body}`);
    });
  };
  net = await tlsInternet(serve);
  plain = createServer(serve);
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  install = await newInstall();
});

afterAll(async () => {
  await install?.remove();
  for (const client of clients) client.dropConnections();
  await stopBrokers();
  await net?.close();
  plain?.close();
  await removeFolders();
});

interface Sandbox {
  session: InterceptedSession;
  provider: SandboxProvider;
  hand: Hand;
  steps: ProvisionStep[];
  /** Provisions again with these variables. */
  again(variables: InterceptedSession["grants"] | undefined): Promise<Hand>;
  bash(command: string): Promise<string>;
}

async function sandbox(
  networking: "limited" | "unrestricted",
  allowed: string[] = [HOST],
  variables = true,
): Promise<Sandbox> {
  const session = await interceptedSession(net, [{ value: TOKEN }], {
    target: (_address, port) => ({
      host: "127.0.0.1",
      port: port === 443 ? net.port : (plain.address() as AddressInfo).port,
    }),
  });
  const client = new BrokerClient(() => ({ url: session.broker.url, launch_secret: LAUNCH_SECRET }));
  clients.push(client);
  const provider = install.open({ egress: new BrokerEgress(client) });
  const steps: ProvisionStep[] = [];
  const id = session.broker.sessionId;
  const again = async (granted: InterceptedSession["grants"] | undefined): Promise<Hand> => {
    const more = { onStep: (step: ProvisionStep) => void steps.push(step), had_sandbox: false };
    const request = networking === "limited" ? limitedRequest(id, more) : provisionRequest(id, more);
    const { config } = request.environment;
    if (config.type === "cloud" && config.networking.type === "limited") config.networking.allowed_hosts = allowed;
    const { hand } = await provider.provision({ ...request, ...(granted === undefined ? {} : { variables: granted }) });
    return hand;
  };
  const hand = await again(variables ? session.grants : undefined);
  return { session, provider, hand, steps, again, bash: (command) => runTool(hand, "bash", { command }) };
}

const python = (body: string) =>
  `python3 -c "
import os, urllib.request as u
r = u.Request('https://${HOST}/python', headers={'Authorization': 'Bearer ' + os.environ['TOKEN_0']}, data=${body})
print(u.urlopen(r).read().decode())"`;

const node = `node -e "
fetch('https://${HOST}/node', { headers: { authorization: 'Bearer ' + process.env.TOKEN_0 } })
  .then((r) => r.text()).then(console.log, (e) => { console.log(e.cause ?? e); process.exitCode = 1 })"`;

describe.each(["limited", "unrestricted"] as const)("in a %s sandbox", (networking) => {
  let here: Sandbox;
  beforeAll(async () => {
    here = await sandbox(networking);
  });

  test.each([
    ["curl", `curl -sS https://${HOST}/curl -H "authorization: Bearer $TOKEN_0"`],
    ["python", python("None")],
    ["node", node],
  ])("%s: the value arrives at the host and not inside", async (name, command) => {
    const before = seen.length;
    const text = await here.bash(command);
    expect(seen.slice(before)).toMatchObject([{ url: `/${name}`, authorization: `Bearer ${TOKEN}` }]);
    expect(text).toContain(`${HOST} says Bearer **************************`);
  });

  test("in Basic credentials and bodies", async () => {
    await here.bash(`curl -sS https://${HOST}/ -u "me:$TOKEN_0" -d "key=$TOKEN_0"`);
    expect(Buffer.from(seen.at(-1)?.authorization.slice(6) ?? "", "base64").toString()).toBe(`me:${TOKEN}`);
    expect(seen.at(-1)?.body).toBe(`key=${TOKEN}`);
    await here.bash(python(`('{\\"k\\":\\"' + os.environ['TOKEN_0'] + '\\"}').encode()`));
    expect(seen.at(-1)?.body).toBe(`{"k":"${TOKEN}"}`);
  });

  test("programs that read no variable find the authority in the system's list", async () => {
    const bare = `env -u SSL_CERT_FILE -u CURL_CA_BUNDLE curl -sS https://${HOST}/bare -H "authorization: $TOKEN_0"`;
    await here.bash(bare);
    expect(seen.at(-1)).toMatchObject({ url: "/bare", authorization: TOKEN });
  });

  test("what is in the container is placeholders", async () => {
    expect(await here.bash('echo "$TOKEN_0"')).toContain(here.session.placeholder);
    const { broker } = here.session;
    const [found] = await install.containers(broker.sessionId);
    const inspected = JSON.stringify(await install.docker.getContainer(found?.Id ?? "").inspect());
    expect(inspected).toContain(here.session.placeholder);
    expect(inspected).not.toContain(TOKEN);
    const everywhere = `grep -rlF "${TOKEN.slice(0, 12)}""${TOKEN.slice(12)}" /proc/[0-9]*/environ /workspace /opt /home /tmp /var/lib/longhaul/*.* 2>/dev/null | grep -v /calls/ ; echo done`;
    expect((await here.bash(everywhere)).trim()).toBe("done");
  });

  test("a container that was killed is started again with them, and with what came since", async () => {
    const { broker, grants } = here.session;
    const more = { ...(grants[0] as (typeof grants)[0]), name: "LATER" };
    await here.bash("export MINE=1");
    await here.again([...grants, more]);
    expect(await here.bash('echo "$LATER $MINE"')).toContain(`${here.session.placeholder} 1`);
    await install.kill(broker.sessionId);
    const text = await here.bash(`curl -sS https://${HOST}/again -H "authorization: Bearer $LATER"; echo " $MINE"`);
    expect(text).toContain("says Bearer **************************  1");
    expect(seen.at(-1)?.authorization).toBe(`Bearer ${TOKEN}`);
  });
});

test("plain HTTP and other hosts get the placeholder", async () => {
  const { bash, session } = await sandbox("limited", [HOST, "x.other.test"]);
  await bash(`curl -sS http://${HOST}/plain -H "authorization: $TOKEN_0"`);
  expect(seen.at(-1)).toMatchObject({ url: "/plain", authorization: session.placeholder });
  // Its certificate is its own, which nothing in the sandbox trusts: nobody stands between.
  const other = `curl -sS https://x.other.test/other -H "authorization: $TOKEN_0"`;
  expect(await bash(`${other} 2>&1; true`)).toMatch(/certificate/i);
  await bash(`${other} -k --http1.1`);
  expect(seen.at(-1)).toMatchObject({ url: "/other", authorization: session.placeholder });
});

test("a sandbox without variables trusts nobody more, and its connections are not looked into", async () => {
  const { bash } = await sandbox("limited", [HOST], false);
  const look =
    "grep -c Longhaul /etc/ssl/certs/ca-certificates.crt; env | grep -c -e longhaul/auth -e LONGHAUL_VARIABLES; ls /opt/longhaul";
  const text = await bash(`${look}; true`);
  expect(text).toMatch(/^0\n0\n/);
  expect(text).not.toContain("authorit");
  expect(await bash(`curl -sS https://${HOST}/ 2>&1; true`)).toMatch(/certificate/i);
});

test("a host that the network does not allow is told, and the session goes on", async () => {
  const { steps, session, bash } = await sandbox("limited", []);
  const { vault_id, credential_id } = session.grants[0]?.credential ?? {};
  expect(steps).toContainEqual(
    expect.objectContaining({ credential: { vault_id, credential_id }, error: expect.stringContaining(HOST) }),
  );
  expect(await bash("echo works")).toContain("works");
});

test("variables that are taken back leave an unrestricted sandbox its own way out", async () => {
  const { again, bash } = await sandbox("unrestricted");
  expect(await bash('echo "[$HTTPS_PROXY]"')).toContain("[http://127.0.0.1:3128]");
  await again([]);
  expect(await bash('echo "[$HTTPS_PROXY]"')).toContain("[]");
});

test("without the certificate there is no sandbox, and the next call makes one", async () => {
  const session = await interceptedSession(net, [{ value: TOKEN }]);
  let broken = true;
  const egress = {
    allow: () => Promise.resolve(),
    connect: () => Promise.reject(new Error("not asked for")),
    certificate: () => (broken ? Promise.reject(new Error("The keychain is locked.")) : Promise.resolve(session.ca)),
  };
  const provider = install.open({ egress });
  const request = { ...limitedRequest(session.broker.sessionId), variables: session.grants };
  const failed = provider.provision(request);
  await expect(failed).rejects.toBeInstanceOf(SandboxLost);
  await expect(failed).rejects.toThrow("The keychain is locked.");
  broken = false;
  const { hand } = await provider.provision(request);
  expect(await runTool(hand, "bash", { command: 'echo "$TOKEN_0"' })).toContain(session.placeholder);
});
