import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SessionResource } from "../../../contract/events.ts";
import { bringBackChanges, removeRepositories, repositoryChanges } from "./changes.ts";
import { type BareContainer, bareContainer, place } from "./testing/bare_container.ts";

let box: BareContainer;
const dataDir = mkdtempSync(join(tmpdir(), "longhaul-remote-"));
const session = "sesn_test0123456789";
type Remote = Extract<SessionResource, { type: "github_repository" }>;

/** A web server inside the container: files of a repository, and 401 for everything under /private. */
const SERVER = `
import http.server, os
os.chdir("/home/agent/srv")
class Files(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/private"):
            self.send_response(401); self.send_header("WWW-Authenticate", "Basic"); self.end_headers()
        else:
            super().do_GET()
http.server.HTTPServer(("127.0.0.1", 8099), Files).serve_forever()
`;

beforeAll(async () => {
  box = await bareContainer();
  await box.sh(`git config --global user.name s; git config --global user.email s@example.com
mkdir -p /home/agent/srv && cd /home/agent/srv && git init -q -b main work && cd work && echo one > a.txt && git add . && git commit -qm first &&
git checkout -q -b side && echo side > s.txt && git add . && git commit -qm side && git checkout -q main && echo two > a.txt && git commit -qam second &&
cd .. && git clone -q --bare work r.git && git -C r.git update-server-info && rm -rf work && git config --global --unset user.name && git config --global --unset user.email`);
  await box.container.exec(["/bin/sh", "-c", 'python3 -c "$1" >/dev/null 2>&1 </dev/null &', "sh", SERVER]);
  await box.sh("for i in $(seq 100); do curl -sf http://127.0.0.1:8099/r.git/HEAD && exit 0; sleep 0.3; done; exit 1");
});
afterAll(async () => {
  rmSync(dataDir, { recursive: true, force: true });
  await box[Symbol.asyncDispose]();
});

const remote = (id: string, more: Partial<Remote> = {}): Remote => ({
  id,
  type: "github_repository",
  url: "http://127.0.0.1:8099/r.git",
  mount_path: `/workspace/${id}`,
  created_at: "",
  updated_at: "",
  ...more,
});

test("a repository is cloned inside, at a branch or commit, and its changes are a patch", async () => {
  const side = (await box.sh("git -C /home/agent/srv/r.git rev-parse side")).trim();
  const all = [
    remote("plain"),
    remote("branch", { checkout: { type: "branch", name: "side" } }),
    remote("commit", { checkout: { type: "commit", sha: side } }),
  ];
  const { steps, errors } = await place(box.container, dataDir, all);
  expect(errors).toEqual([]);
  expect(steps[0]).toMatch(
    /^clone http:\/\/127\.0\.0\.1:8099\/r\.git to \/workspace\/plain \(without a token, at \w{12}\)$/,
  );
  expect(await box.sh("for d in plain branch commit; do git -C $d rev-parse --abbrev-ref HEAD; ls $d; done")).toBe(
    "main\na.txt\nside\na.txt\ns.txt\nHEAD\na.txt\ns.txt\n",
  );
  const look = () => repositoryChanges(box.container, dataDir, session, all);
  expect((await look()).map(({ path, files, note }) => [path, files, note])).toEqual(
    all.map(({ url }) => [url, [], undefined]),
  );
  await box.sh(
    "cd plain && echo agent >> a.txt && git commit -qam agent && echo new > new.txt && git -C ../branch checkout -q -b mine && echo b > ../branch/b.txt",
  );
  const [plain, branch] = await look();
  expect(plain?.files.map(({ status, path }) => `${status} ${path}`)).toEqual(["modified a.txt", "added new.txt"]);
  expect(plain?.patch).toContain("+agent\n");
  expect(branch?.files).toMatchObject([{ path: "b.txt" }]);
  // Back to what was there before the clone's commit, which this side never had.
  await box.sh("cd branch && rm b.txt && git checkout -q --orphan other && git commit -qm orphan");
  expect((await look())[1]?.files).toEqual([]);
  await box.sh("rm -rf plain/.git");
  const [broken] = await look();
  expect(broken?.note).toMatch(/Only the files were compared/);
  expect(broken?.files).toEqual(plain?.files);

  await expect(bringBackChanges(box.container, dataDir, session, all, "/workspace/plain")).rejects.toThrow(
    /no repository of this disk/,
  );
  await removeRepositories(dataDir, session);
  await removeRepositories(dataDir, session);
});

test("what cannot be cloned says why and leaves nothing", async () => {
  const { errors } = await place(box.container, dataDir, [
    remote("private", { url: "http://127.0.0.1:8099/private/r.git" }),
    remote("missing", { url: "http://127.0.0.1:8099/missing.git" }),
    remote("nobranch", { checkout: { type: "branch", name: "nowhere" } }),
    remote("nocommit", { checkout: { type: "commit", sha: "b".repeat(40) } }),
    remote("unreachable", { url: "https://example.invalid/a/b" }),
  ]);
  expect(errors).toEqual([
    expect.stringMatching(/or it is private, and there is no way to use a token/),
    expect.stringMatching(/does not exist, or it is private/),
    expect.stringMatching(/Check the checkout \(.*nowhere/),
    expect.stringMatching(/Check the checkout/),
    expect.stringMatching(/network does not reach it.*allowed_hosts/),
  ]);
  expect(await box.sh("ls -d private missing nobranch nocommit unreachable 2>/dev/null; true")).toBe("");
});

test("files are root's own, once, below uploads; a failing one does not stop the rest", async () => {
  let opened = 0;
  const file = { type: "file" as const, created_at: "", updated_at: "" };
  const files = [
    { ...file, id: "f_gone", file_id: "file_gone", mount_path: "/gone" },
    { ...file, id: "f_1", file_id: "file_1", mount_path: "/deep/er/data.csv" },
    { ...file, id: "f_2", file_id: "file_2", mount_path: "/mnt/session/uploads/../../../etc/x" },
  ];
  const read = async (id: string) => {
    opened += 1;
    if (id === "file_gone") throw new Error("the file was deleted");
    return { filename: "x", bytes: Buffer.from(id) };
  };
  const told = await place(box.container, dataDir, files, read);
  expect(told.errors).toEqual(["the file was deleted"]);
  expect(
    await box.sh(
      "cd /mnt/session/uploads && stat -c '%U %a %n' deep deep/er/data.csv etc/x && cat deep/er/data.csv etc/x",
    ),
  ).toBe("root 755 deep\nroot 444 deep/er/data.csv\nroot 444 etc/x\nfile_1file_2");
  await place(box.container, dataDir, files, read);
  expect(opened).toBe(4);
  // What is remembered cannot be forged by the agent.
  for (const path of [
    "/var/lib/longhaul-resources/markers/f_1",
    "/var/lib/longhaul-resources/markers/forged",
    "/mnt/session/uploads/x",
  ]) {
    await expect(box.sh(`echo x > ${path}`)).rejects.toThrow(/denied/i);
  }
  await expect(box.sh("mv /var/lib/longhaul-resources /var/lib/x")).rejects.toThrow(/denied/i);
});
