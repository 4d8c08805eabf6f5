import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../../../contract/ids.ts";
import { BUSYBOX_IMAGE } from "../testing/real_engine.ts";
import { LimitedNetwork } from "./limited.ts";
import type { AttachRequest } from "./port.ts";
import { engine, removeContainers, type StartedContainer, startContainer } from "./testing/containers.ts";
import { type Internet, internet } from "./testing/internet.ts";

const BIG = 200 * 1024 * 1024;
const docker = engine();
let net: Internet;
let network: LimitedNetwork;
let container: StartedContainer;
/** A `.git` folder that the server gives out. */
let repository = "";

beforeAll(async () => {
  net = await internet((request, response) => {
    if (request.url === "/big") {
      response.writeHead(200, { "content-length": BIG });
      const chunk = Buffer.alloc(64 * 1024, "x");
      let left = BIG;
      const more = () => {
        while (left > 0) {
          left -= chunk.length;
          if (!response.write(chunk)) return;
        }
        response.end();
      };
      response.on("drain", more);
      return more();
    }
    const file = /^\/repo\.git\/([\w./-]+)/.exec(request.url ?? "")?.[1];
    if (file !== undefined) {
      const path = join(repository, file);
      if (existsSync(path) && statSync(path).isFile()) return void response.end(readFileSync(path));
      return void response.writeHead(404).end();
    }
    if (request.url === "/slow") return void setTimeout(() => response.end("slow"), 300);
    if (request.method === "PUT") {
      let size = 0;
      request.on("data", (part: Buffer) => (size += part.length));
      return void request.on("end", () => response.end(`took ${size}`));
    }
    response.end(`${request.method} ${request.url} ${request.headers.host}`);
  });
  network = new LimitedNetwork(attached(["files.test", "*.example.test"]), { ...net.options, guardImage: noGuard });
  container = await startContainer(docker, network);
  expect(await network.ready(container)).toEqual({ step: "network: limited to 2 allowed hosts" });
});

afterAll(async () => {
  network?.close();
  await removeContainers(docker);
  await net?.close();
});

const noGuard = () => Promise.reject(new Error("not asked for"));

function attached(allowed_hosts: string[], allow_package_managers = false): AttachRequest {
  return {
    session_id: newId("session"),
    config: {
      type: "cloud",
      networking: { type: "limited", allowed_hosts, allow_mcp_servers: false, allow_package_managers },
      packages: { apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] },
    },
    runtime: null,
  };
}

describe("what is allowed", () => {
  test("plain HTTP by curl and python, CONNECT by curl", async () => {
    expect((await container.sh("curl -sS http://files.test/a?b=c")).text).toBe("GET /a?b=c files.test");
    expect((await container.sh("curl -sSp http://www.example.test/tunnel")).text).toBe("GET /tunnel www.example.test");
    const python = `python3 -c "import urllib.request as u; print(u.urlopen('http://files.test/py').read().decode())"`;
    expect((await container.sh(python)).text).toBe("GET /py files.test");
  });

  test("git clones", async () => {
    const folder = mkdtempSync(join(tmpdir(), "network-git-"));
    const git = (...args: string[]) => execFileSync("git", ["-C", folder, ...args], { stdio: "pipe" });
    git("init", "-q", "-b", "main");
    writeFileSync(join(folder, "a.txt"), "from the repository\n");
    git("add", ".");
    git("-c", "user.name=a", "-c", "user.email=a@a.test", "commit", "-q", "-m", "one");
    git("update-server-info");
    repository = join(folder, ".git");
    const clone = "git clone -q http://files.test/repo.git r && cat r/a.txt";
    expect((await container.sh(clone)).text).toBe("from the repository");
    rmSync(folder, { recursive: true });
  });

  test("a Host header of another site is replaced", async () => {
    expect((await container.sh("curl -sS -H 'Host: other.test' http://files.test/")).text).toBe("GET / files.test");
  });

  test("uploads of 20 MB arrive whole", async () => {
    const put =
      "head -c 20971520 /dev/zero > up; curl -sS -T up http://files.test/up; curl -sSp -T up http://files.test/up";
    expect((await container.sh(put)).text).toBe("took 20971520took 20971520");
  });

  test("a hundred connections at once", async () => {
    const many = `for i in $(seq 100); do curl -sSp http://files.test/slow > out.$i & done; wait; cat out.* | grep -o slow | wc -l; rm out.*`;
    expect((await container.sh(many)).text).toBe("100");
  });
});

describe("what is refused", () => {
  test("another host: the answer says how to allow it, and it is an event", async () => {
    const plain = await container.sh("curl -sS http://denied.test/");
    expect(plain.text).toContain("denied.test is not among the environment's allowed hosts");
    expect(plain.text).toContain("networking.allowed_hosts");
    const tunnel = await container.sh("curl -sS https://denied.test/");
    expect(tunnel.code).not.toBe(0);
    expect(tunnel.text).toContain("403");
    await sleep(1_200);
    expect(net.events).toContainEqual(
      expect.objectContaining({ host: "denied.test", port: 443, decision: "denied", count: 1 }),
    );
    expect(net.events).toContainEqual(
      expect.objectContaining({
        host: "files.test",
        port: 80,
        decision: "allowed",
        reason: "allowed_hosts: files.test",
      }),
    );
  });

  test("nothing is reached around the relay: no interface, no name, no route", async () => {
    const gateway = "172.17.0.1";
    const probes = [
      ...[gateway, "127.0.0.1", "169.254.169.254", "192.0.2.2", "1.1.1.1"].map(
        (host) => `curl -sS -m 3 --noproxy '*' http://${host}:${net.serverPort}/ && echo REACHED`,
      ),
      "getent hosts example.com && echo REACHED",
      "getent hosts files.test && echo REACHED",
      "grep -v lo: /proc/net/dev | tail -n +3 | grep . && echo REACHED",
      "timeout 3 bash -c 'echo > /dev/udp/10.255.255.53/53' && echo REACHED",
      `curl -sS -m 3 http://127.0.0.1:${net.serverPort}/ && echo REACHED`,
      `curl -sSp -m 3 http://${gateway}/ | grep -v Longhaul && echo REACHED`,
      "curl -sS -m 3 http://169.254.169.254/latest/meta-data/ | grep -v Longhaul && echo REACHED",
    ];
    const { text } = await container.sh(probes.join("; "), 60_000);
    expect(text).not.toContain("REACHED");
  });

  test("garbage at the relay breaks nothing", async () => {
    const garbage = `for i in 1 2 3 4; do head -c 100000 /dev/urandom | timeout 2 bash -c 'cat > /dev/tcp/127.0.0.1/3128'; done; printf 'GET / HTTP/1.1\\r\\n\\r\\n' | timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; cat >&3; cat <&3'`;
    expect((await container.sh(garbage)).text).toContain("400");
    expect((await container.sh("curl -sS http://files.test/after")).text).toBe("GET /after files.test");
  });
});

describe("load", () => {
  test("200 MB come through with bounded memory, quick beside slow", async () => {
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, 20);
    const began = Date.now();
    // A reader that stops in the middle holds its own connection up and no other.
    const script = `(curl -sSp http://files.test/big | (head -c 1000000 > /dev/null; sleep 20)) > /dev/null 2>&1 &
      curl -sSp http://files.test/big | wc -c; ps -eo rss,args | grep '[r].read' | awk '{print $1}'`;
    const { text } = await container.sh(script, 60_000);
    const seconds = (Date.now() - began) / 1000;
    clearInterval(watch);
    const [size, rss] = text.split("\n");
    console.log(
      `${(BIG / 1e6 / seconds).toFixed(0)} MB/s; engine +${((peak - before) / 1e6).toFixed(0)} MB; relay ${rss} KB`,
    );
    expect(Number(size)).toBe(BIG);
    expect(peak - before).toBeLessThan(120e6);
    expect(Number(rss)).toBeLessThan(60_000);
  });

  test("latency added per request", async () => {
    const time = `python3 -c "
import time, urllib.request as u
def p50(n):
    times = []
    for _ in range(n):
        began = time.perf_counter()
        u.urlopen('http://files.test/t').read()
        times.append(time.perf_counter() - began)
    return sorted(times)[n // 2] * 1000
print(p50(50))"`;
    const { text } = await container.sh(time);
    console.log(`request through the relay: p50 ${Number(text).toFixed(1)} ms`);
    expect(Number(text)).toBeLessThan(100);
  });
});

describe("ends", () => {
  test("the relay was killed by a program of the agent: it comes back", async () => {
    await container.sh("kill $(ps -eo pid,args | grep '[r].read' | awk '{print $1}')");
    let answer = "";
    for (let tries = 0; answer !== "GET /back files.test" && tries < 30; tries++) {
      await sleep(200);
      answer = (await container.sh("curl -sS http://files.test/back")).text;
    }
    expect(answer).toBe("GET /back files.test");
  });

  test("the engine goes in mid-download: the download ends, and the next engine's sandbox has a way out at once", async () => {
    const download = container.sh("curl -sSp http://files.test/big -o /dev/null --limit-rate 5M; echo exit $?", 60_000);
    await sleep(500);
    network.close();
    expect((await download).text).toMatch(/exit (18|56)/);
    const next = new LimitedNetwork(attached(["files.test"]), { ...net.options, guardImage: noGuard });
    await next.ready(container);
    expect((await container.sh("curl -sS http://files.test/next")).text).toBe("GET /next files.test");
    expect((await container.sh("curl -sS http://www.example.test/")).text).toContain("not among");
    next.close();
    await network.ready(container);
  });

  test("the container is killed and started again: ready brings the way out back", async () => {
    for (let turn = 0; turn < 3; turn++) {
      await container.restart();
      await sleep(turn * 100);
      const steps = await Promise.all([network.ready(container), network.ready(container)]);
      expect(steps.map(({ step }) => step)).toEqual(new Array(2).fill("network: limited to 2 allowed hosts"));
    }
    expect((await container.sh("curl -sS http://files.test/again")).text).toBe("GET /again files.test");
  });
});

describe("images", () => {
  test("with node and no python", async () => {
    const node = new LimitedNetwork(attached(["files.test"]), { ...net.options, guardImage: noGuard });
    const open: StartedContainer["open"] = (argv, options) =>
      box.open(
        argv.map((part) => part.replace("python3", "no-python")),
        options,
      );
    const box = await startContainer(docker, node);
    await node.ready(Object.assign(Object.create(box) as StartedContainer, { open }));
    expect((await box.sh("curl -sS http://files.test/node")).text).toBe("GET /node files.test");
    const began = Date.now();
    expect((await box.sh("curl -sSp http://files.test/big | wc -c", 60_000)).text).toBe(String(BIG));
    console.log(`node relay: ${(BIG / 1e3 / (Date.now() - began)).toFixed(0)} MB/s`);
    expect((await box.sh("head -c 20971520 /dev/zero > up; curl -sSp -T up http://files.test/up")).text).toBe(
      "took 20971520",
    );
    const many = `for i in $(seq 100); do curl -sSp http://files.test/slow > out.$i & done; wait; cat out.* | grep -o slow | wc -l`;
    expect((await box.sh(many)).text).toBe("100");
    node.close();
  });

  test("with neither: a step says so, and there is no way out", async () => {
    const bare = new LimitedNetwork(attached(["files.test"]), { ...net.options, guardImage: noGuard });
    const box = await startContainer(docker, bare, { image: BUSYBOX_IMAGE });
    expect((await bare.ready(box)).step).toContain("needs python3 or node");
    expect((await box.sh("wget -T 3 -q -O - http://files.test/")).code).not.toBe(0);
    bare.close();
  });
});

describe("the real registry", () => {
  test("npm finds a package with allow_package_managers, and nothing without", async () => {
    const registries = new LimitedNetwork(attached([], true), { ...net.options, guardImage: noGuard });
    const box = await startContainer(docker, registries);
    await registries.ready(box);
    // The mirror of a test machine has a certificate that the image does not know.
    const npm = "npm view is-number version --strict-ssl=false --fetch-retries=0 2>/dev/null";
    expect((await box.sh(npm, 60_000)).text).toMatch(/^\d+\.\d+\.\d+$/);
    const install =
      "mkdir -p p; cd p; npm install --strict-ssl=false --no-audit is-number 2>/dev/null; ls node_modules";
    expect((await box.sh(install, 60_000)).text).toContain("is-number");
    expect((await box.sh("curl -sS -o /dev/null -w '%{http_code}' http://deb.debian.org/debian/")).text).toBe("200");
    expect(
      (await container.sh("npm view is-number --fetch-retries=0; curl -sSk https://registry.npmjs.org/", 60_000)).text,
    ).toContain("403");
    registries.close();
  });
});
