import { createSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../../../../contract/ids.ts";
import { archive } from "../../container/archive.ts";
import { BUSYBOX_IMAGE, SANDBOX_IMAGE } from "../../testing/real_engine.ts";
import { sandboxNetworks } from "../network.ts";
import type { AttachRequest, SandboxNetwork, SandboxNetworksOptions } from "../port.ts";
import { engine, INSTALL, removeContainers, type StartedContainer, startContainer } from "../testing/containers.ts";

const docker = engine();
let server: Server;
const sockets = new Set<Socket>();
let port = 0;
let gateway = "";
let network: SandboxNetwork;
let container: StartedContainer;
let step = "";

const options = (guardImage = SANDBOX_IMAGE): SandboxNetworksOptions => ({
  docker,
  install: INSTALL,
  egress: {
    allow: () => Promise.reject(new Error("not asked for")),
    connect: () => Promise.reject(new Error("not asked for")),
    certificate: () => Promise.reject(new Error("not asked for")),
  },
  tell: () => expect.unreachable("an unrestricted network has no events"),
  guardImage: () => Promise.resolve(guardImage),
});

const request = (runtime: string | null = null): AttachRequest => ({
  session_id: newId("session"),
  runtime,
  config: {
    type: "cloud",
    networking: { type: "unrestricted" },
    packages: { apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] },
  },
});

const networks = sandboxNetworks(options());

beforeAll(async () => {
  // What must not be reached listens on every address of this machine, and says so.
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\nREACHED");
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  port = (server.address() as { port: number }).port;
  network = await networks.attach(request());
  const inspected = await docker.getNetwork(network.networkMode).inspect();
  gateway = inspected.IPAM?.Config?.[0]?.["Gateway"] ?? "";
  const early = `(curl -s -m 2 http://${gateway}:${port}/ > /tmp/early; echo tried >> /tmp/early) &`;
  container = await startContainer(docker, network, { setUp: early });
  const began = Date.now();
  ({ step } = await network.ready(container));
  console.log(`guard: ${Date.now() - began} ms`);
});

afterAll(async () => {
  networks.close();
  await removeContainers(docker);
  // A container that is removed leaves its connections open on this side.
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

const curl = (box: StartedContainer, url: string) => box.sh(`curl -sS -m 5 ${url}`);

describe("an unrestricted sandbox", () => {
  test("reaches the internet by name", async () => {
    expect(step).toContain("unrestricted");
    const mirror = await container.sh("curl -sS -m 20 -o /dev/null -w '%{http_code}' http://deb.debian.org/debian/");
    expect(mirror.text).toBe("200");
  });

  test("does not reach this machine: gateway, its other addresses, the default bridge", async () => {
    expect(gateway).not.toBe("");
    const own = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family, internal }) => family === "IPv4" && !internal);
    for (const address of new Set([gateway, "172.17.0.1", ...own.map((entry) => entry.address)])) {
      const { code, text } = await curl(container, `http://${address}:${port}/`);
      expect(text, address).not.toContain("REACHED");
      expect(code, address).not.toBe(0);
    }
  });

  test("does not reach this machine past the routes either: bound to the interface, by broadcast or multicast", async () => {
    const own = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family, internal }) => family === "IPv4" && !internal);
    const udp = createSocket("udp4");
    const heard: string[] = [];
    udp.on("message", (message) => heard.push(message.toString()));
    await new Promise<void>((resolve) => udp.bind(port, "0.0.0.0", resolve));
    try {
      const addresses = [gateway, "169.254.169.254", ...own.map(({ address }) => address)];
      const { text } = await container.sh(`python3 -c "
import socket
me = socket.gethostbyname(socket.gethostname())
for address in ${JSON.stringify(addresses).replaceAll('"', "'")}:
  for option, value in ((socket.SO_BINDTODEVICE, b'eth0'),):
    s = socket.socket(); s.settimeout(1); s.setsockopt(socket.SOL_SOCKET, option, value)
    try: s.connect((address, ${port})); print(address, s.recv(100))
    except OSError as error: print(address, 'closed')
for address in ('255.255.255.255', '224.0.0.1', '${gateway}'):
  for how in ('bound', 'device'):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    try:
      s.bind((me, 0)) if how == 'bound' else s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
      s.sendto((how + ' ' + address).encode(), (address, ${port})); print('sent', address, how)
    except OSError: pass
"`);
      expect(text).not.toContain("REACHED");
      expect(text).toContain("sent 255.255.255.255 bound");
      await sleep(200);
      expect(heard).toEqual([]);
    } finally {
      udp.close();
    }
  });

  test("is guarded whatever its own shell says", async () => {
    const other = await networks.attach(request());
    const box = await startContainer(docker, other);
    // What a package that was installed as root could have left.
    const liar = Buffer.from('#!/bin/bash\necho guarded\nexec /bin/bash "$@"\n');
    await box.putTar("/usr/bin", await archive([{ path: "dash", mode: 0o755, uid: 0, gid: 0, content: liar }]));
    await other.ready(box);
    expect((await curl(box, `http://${gateway}:${port}/`)).text).not.toContain("REACHED");
  });

  test("could have: without the guard the server at the gateway answers", async () => {
    const open = await startContainer(docker, {
      networkMode: network.networkMode,
      env: {},
      command: (argv) => [...argv],
    });
    expect((await curl(open, `http://${gateway}:${port}/`)).text).toBe("REACHED");
  });

  test.each([
    "169.254.169.254",
    "10.0.0.1",
    "192.168.1.1",
    "172.16.0.1",
    "100.100.100.200",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "168.63.129.16",
  ])("is refused %s at once", async (address) => {
    const began = Date.now();
    const connect = `python3 -c "
import socket
s = socket.socket(); s.settimeout(5)
print(s.connect_ex(('${address}', 80)))"`;
    // 13: permission denied by a rule; 113, 101: no route.
    expect((await container.sh(connect)).text).toMatch(/^(13|113|101)$/);
    expect(Date.now() - began).toBeLessThan(3_000);
  });

  test("reaches a closed resolver on port 53 only", async () => {
    const text = (await container.sh("getent hosts deb.debian.org && echo NAMED")).text;
    expect(text).toContain("NAMED");
    const { getServers } = await import("node:dns");
    for (const resolver of getServers().filter((address) => /^10\./.test(address))) {
      expect((await curl(container, `http://${resolver}/`)).code).not.toBe(0);
    }
  });

  test("has no IPv6 way out", async () => {
    const connect = `python3 -c "
import socket
s = socket.socket(socket.AF_INET6); s.settimeout(3)
print(s.connect_ex(('2606:4700::1111', 80)))"`;
    expect((await container.sh(connect)).text).not.toBe("0");
  });

  test("does not reach another sandbox of the same network", async () => {
    const other = await networks.attach(request());
    const box = await startContainer(docker, other);
    await other.ready(box);
    const serve = "python3 -m http.server 8000 >/dev/null 2>&1 & sleep 1; hostname -i";
    const address = (await box.sh(serve)).text.split(" ")[0] ?? "";
    expect(address).toMatch(/^172\.|^192\.168\.|^10\./);
    expect((await curl(container, `http://${address}:8000/`)).code).not.toBe(0);
  });

  test("cannot undo it: no program of the sandbox has the right to", async () => {
    const undo = "ip rule flush; ip rule del pref 200; ip route del prohibit 240.0.0.0/4; ip link set lo down";
    await container.sh(undo);
    expect((await curl(container, `http://${gateway}:${port}/`)).text).not.toContain("REACHED");
    expect((await network.ready(container)).step).toBe(step);
  });

  test("is guarded again when another process takes it over, and goes on reaching what it may", async () => {
    const adopted = await sandboxNetworks(options()).attach(request());
    expect((await adopted.ready(container)).step).toBe(step);
    expect((await curl(container, "-o /dev/null -w '%{http_code}' http://deb.debian.org/debian/")).text).toBe("200");
  });

  test("runs nothing before the guard stands, at the first start and after a kill", async () => {
    const tried = async () => {
      for (let tries = 0; tries < 50; tries++) {
        const { text } = await container.sh("cat /tmp/early");
        if (text.includes("tried")) return text;
        await sleep(100);
      }
      return "never";
    };
    expect(await tried()).toBe("tried");
    await container.restart();
    await sleep(400);
    expect((await container.sh("cat /tmp/early 2>/dev/null; echo none")).text).toBe("none");
    await Promise.all([network.ready(container), network.ready(container)]);
    expect(await tried()).toBe("tried");
    expect((await curl(container, `http://${gateway}:${port}/`)).text).not.toContain("REACHED");
  });

  test("leaves no helper behind", async () => {
    const helpers = async () => {
      const filters = { label: [`longhaul.install=${INSTALL}`, "longhaul.helper"] };
      return (await docker.listContainers({ all: true, filters })).length;
    };
    for (let tries = 0; (await helpers()) > 0 && tries < 50; tries++) await sleep(100);
    expect(await helpers()).toBe(0);
  });
});

describe("fails closed", () => {
  test("a helper image that cannot do it", async () => {
    for (const image of [BUSYBOX_IMAGE, "longhaul-no-such-image:test"]) {
      const broken = sandboxNetworks(options(image));
      const other = await broken.attach(request());
      const box = await startContainer(docker, other);
      await expect(other.ready(box)).rejects.toMatchObject({ name: "SandboxLost" });
      await expect(other.ready(box)).rejects.toThrow("nothing was run");
      broken.close();
    }
  });

  test("a runtime with a network of its own", async () => {
    await expect(networks.attach(request("runsc"))).rejects.toThrow("limited networking");
  });

  test("a network of our name that lets containers reach each other", async () => {
    const install = `${INSTALL}-icc`;
    const foreign = await docker.createNetwork({ Name: `longhaul-${install}`, Driver: "bridge" });
    await expect(sandboxNetworks({ ...options(), install }).attach(request())).rejects.toThrow("Remove that network");
    await foreign.remove();
  });

  test("many at once make one network", async () => {
    const install = `${INSTALL}-many`;
    const attached = await Promise.all(
      Array.from({ length: 6 }, () => sandboxNetworks({ ...options(), install }).attach(request())),
    );
    expect(new Set(attached.map(({ networkMode }) => networkMode)).size).toBe(1);
    const found = await docker.listNetworks({ filters: { label: [`longhaul.install=${install}`] } });
    expect(found).toHaveLength(1);
    await docker.getNetwork(found[0]?.Id ?? "").remove();
  });
});
