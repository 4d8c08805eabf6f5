import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toFile } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ApiError } from "../../../contract/errors.ts";
import type { LocalRepositoryResource } from "../../../contract/events.ts";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
let folder: string;
beforeAll(async () => {
  rig = await startRig();
  folder = await mkdtemp(join(tmpdir(), "repositories-"));
  await mkdir(join(folder, "my project"));
  await writeFile(join(folder, "file"), "");
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rm(folder, { recursive: true });
  await rig[Symbol.asyncDispose]();
});

async function create(
  resources: unknown[],
): Promise<{ status: number; message: string; resources: LocalRepositoryResource[]; id: string }> {
  const agent = await rig.client.beta.agents.create({ name: "a", model: "m" });
  const environment = await rig.client.beta.environments.create({ name: `e ${Math.random()}` });
  const body = { agent: agent.id, environment_id: environment.id, resources };
  const answer = await rig.request("/v1/sessions", { method: "POST", body });
  const made = (await answer.json()) as {
    id: string;
    resources: LocalRepositoryResource[];
    error?: { message: string };
  };
  return { status: answer.status, message: made.error?.message ?? "", resources: made.resources, id: made.id };
}

describe("local repositories", () => {
  const path = () => join(folder, "my project");

  test("defaults: below /workspace, with uncommitted work unless something else is checked out", async () => {
    const { resources } = await create([{ type: "local_repository", path: `${path()}/` }]);
    expect(resources).toEqual([
      {
        id: expect.stringMatching(/^sesrsc_/),
        type: "local_repository",
        path: path(),
        mount_path: "/workspace/my-project",
        checkout: null,
        include_uncommitted: true,
        created_at: expect.any(String),
        updated_at: expect.any(String),
      },
    ]);
    const checkout = { type: "branch", name: "main" };
    const chosen = await create([{ type: "local_repository", path: path(), checkout, mount_path: "/workspace/x" }]);
    expect(chosen.resources[0]).toMatchObject({ checkout, include_uncommitted: false, mount_path: "/workspace/x" });
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["a relative path", { path: "src" }, /`resources\[0\]\.path` must be an absolute path/],
    ["a path that does not exist", { path: "/no/such/folder" }, /does not exist on this machine/],
    ["a file", { path: "$/file" }, /is a file/],
    ["the whole disk", { path: "/" }, /not the whole disk/],
    ["NUL", { path: "/a\0b" }, /NUL/],
    [
      "an option as a branch",
      { checkout: { type: "branch", name: "--upload-pack=x" } },
      /checkout\.name` must be a valid branch name/,
    ],
    ["a short commit", { checkout: { type: "commit", sha: "abc" } }, /full commit SHA/],
    [
      "a checkout with uncommitted work",
      { checkout: { type: "branch", name: "b" }, include_uncommitted: true },
      /Leave out one/,
    ],
    ["a mount path that climbs", { mount_path: "/workspace/../etc" }, /must not contain \. or \.\./],
    ["a relative mount path", { mount_path: "x" }, /must be an absolute path/],
    ["an unknown field", { branch: "main" }, /Unknown field `resources\[0\]\.branch`/],
  ])("refuses %s", async (_, fields, text) => {
    const given = { type: "local_repository", path: path(), ...fields };
    const { status, message } = await create([{ ...given, path: given.path.replace("$", folder) }]);
    expect(message).toMatch(text);
    expect(status).toBe(400);
  });

  test("two resources cannot share a path", async () => {
    const twice = { type: "local_repository", path: path() };
    expect((await create([twice, twice])).message).toMatch(/`resources\[1\]\.mount_path`: .* is taken/);
  });
});

describe("repositories that are cloned inside", () => {
  const url = "https://github.com/owner/some-repo.git";

  test("the SDK's shape; the token is sealed elsewhere, can be changed, and goes with the session", async () => {
    const token = `ghp_${"canary".repeat(6)}`;
    const checkout = { type: "commit", sha: "a".repeat(40) };
    const made = await create([
      { type: "github_repository", url, authorization_token: token },
      { type: "github_repository", url, checkout, mount_path: "/workspace/x" },
    ]);
    const base = { id: expect.stringMatching(/^sesrsc_/), type: "github_repository", url };
    const times = { created_at: expect.any(String), updated_at: expect.any(String) };
    expect(made.resources).toEqual([
      { ...base, mount_path: "/workspace/some-repo", checkout: null, ...times },
      { ...base, mount_path: "/workspace/x", checkout, ...times },
    ]);
    const stored = [];
    for await (const event of rig.ledger.getEvents(made.id)) stored.push(event);
    const sealed = await rig.ports.vault.sealed();
    expect(sealed).toMatchObject([{ vault_id: made.id, credential_id: made.resources[0]?.id }]);
    const api = rig.client.beta.sessions.resources;
    const repository = made.resources[0]?.id ?? "";
    const update = { session_id: made.id, authorization_token: `${token}2` };
    expect(await api.update(repository, update)).toEqual(made.resources[0]);
    const renewed = await rig.ports.vault.sealed();
    expect(renewed).toHaveLength(1);
    expect(renewed[0]?.secret_id).not.toBe(sealed[0]?.secret_id);
    const records = await rig.ports.records.list("repository_token", { limit: 9 });
    const shown = [stored, records, await rig.client.beta.sessions.retrieve(made.id)];
    expect(JSON.stringify(shown)).not.toContain("canary");
    const spaced = { ...update, authorization_token: "a b" };
    expect((await refusalOf(api.update(repository, spaced))).message).toContain("`authorization_token`");
    await rig.client.beta.sessions.archive(made.id);
    expect((await refusalOf(api.update(repository, update))).status).toBe(400);
    expect(await rig.ports.vault.sealed()).toEqual([]);
    expect(await rig.ports.records.list("repository_token", { limit: 9 })).toEqual([]);
  });

  test("a session that cannot be stored leaves no token behind", async () => {
    await using own = await startRig();
    const agent = await own.client.beta.agents.create({ name: "a", model: "claude-opus-5-5" });
    const environment = await own.client.beta.environments.create({ name: "e" });
    const resources = [{ type: "github_repository", url: "https://github.com/o/r", authorization_token: "canary" }];
    const body = { agent: agent.id, environment_id: environment.id, resources };
    own.ledger.createSession = async () => Promise.reject(new Error("no room"));
    const answer = await own.request("/v1/sessions", { method: "POST", body });
    expect(answer.status).toBe(500);
    expect(await own.ports.vault.sealed()).toEqual([]);
    expect(await own.ports.records.list("repository_token", { limit: 9 })).toEqual([]);
  });

  test("tokens that a crash left of ended sessions are forgotten at the next start and when they are archived again", async () => {
    await using own = await startRig();
    const attached = { type: "github_repository", url: "https://github.com/o/r", authorization_token: "canary" };
    const made = [await own.session({ resources: [attached] }), await own.session({ resources: [attached] })];
    const third = await own.session({ resources: [attached] });
    // As if each was cut off before it came to the tokens.
    for (const id of [made[0], third]) await own.emit(id ?? "", { type: "longhaul.session_archived" });
    await own.ledger.deleteSession(made[1] ?? "");
    expect(await own.ports.vault.sealed()).toHaveLength(3);
    await own.client.beta.sessions.archive(third);
    expect(await own.ports.vault.sealed()).toHaveLength(2);
    const kept = await own.session({ resources: [attached] });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await using next = await startRig(own.ports);
    await expect.poll(async () => (await next.ports.vault.sealed()).map(({ vault_id }) => vault_id)).toEqual([kept]);
    expect(await own.ports.records.list("repository_token", { limit: 9 })).toHaveLength(1);
  });

  test("a session whose token cannot be sealed is not made", async () => {
    const refuse = async () =>
      Promise.reject(new ApiError("invalid_request_error", "There is no keychain.", "keychain_missing"));
    await using own = await startRig({ vault: { ...rig.ports.vault, seal: refuse, purge: async () => undefined } });
    const before = (await own.ledger.listSessions({ limit: 10 })).length;
    const resources = [{ type: "github_repository", url, authorization_token: "t" }];
    const error = await refusalOf(own.session({ resources }));
    expect([error.status, error.errorCode]).toEqual([400, "keychain_missing"]);
    expect((await own.ledger.listSessions({ limit: 10 })).length).toBe(before);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["http elsewhere", { url: "http://github.com/a/b" }, /must be an https URL/],
    ["another protocol", { url: "ext::sh -c touch% /tmp/x" }, /must be an https URL/],
    ["ssh", { url: "git@github.com:a/b.git" }, /must be an https URL/],
    ["a file", { url: "file:///etc" }, /must be an https URL/],
    [
      "a token in the URL",
      { url: "https://x:canary@github.com/a/b" },
      /must not contain a user name, password or token/,
    ],
    ["a query", { url: "https://github.com/a/b?c" }, /query/],
    ["only a host", { url: "https://github.com/" }, /must name a repository/],
    ["an option as a branch", { url, checkout: { type: "branch", name: "--upload-pack=x" } }, /valid branch name/],
    ["a path outside", { url, mount_path: "/etc/x" }, /must be below \/workspace/],
    ["a token that is none", { url, authorization_token: 7 }, /authorization_token/],
  ])("refuses %s", async (_, fields, text) => {
    const { status, message } = await create([{ type: "github_repository", ...fields }]);
    expect(message).toMatch(text);
    expect(message).not.toContain("canary");
    expect(status).toBe(400);
  });
});

describe("files", () => {
  test("a session has its own copy: deleting the upload does not break it", async () => {
    const file = await rig.client.beta.files.upload({ file: await toFile(Buffer.from("x"), "data.csv") });
    const made = await create([
      { type: "file", file_id: file.id, mount_path: "/data.csv" },
      { type: "file", file_id: file.id },
    ]);
    expect(made.resources).toMatchObject([
      { type: "file", mount_path: "/mnt/session/uploads/data.csv" },
      { type: "file", mount_path: `/mnt/session/uploads/${file.id}` },
    ]);
    await rig.client.beta.files.delete(file.id);
    const copies: string[] = [];
    for await (const copy of rig.client.beta.files.list({ scope_id: made.id })) copies.push(copy.id);
    const attached: string[] = [];
    for await (const resource of rig.client.beta.sessions.resources.list(made.id, { limit: 1 })) {
      if (resource.type === "file") attached.push(resource.file_id);
    }
    expect(copies.sort()).toEqual(attached.sort());
    expect(await (await rig.client.beta.files.download(copies[0] ?? "")).text()).toBe("x");
  });

  test("a file that does not exist is refused", async () => {
    expect((await create([{ type: "file", file_id: "file_none" }])).message).toMatch(
      /`resources\[0\]\.file_id`: there is no file "file_none"/,
    );
  });
});

describe("changing what is attached", () => {
  const upload = async (name: string) => rig.client.beta.files.upload({ file: await toFile(Buffer.from(name), name) });

  test("a file is added as the session's own copy and removed with it", async () => {
    const { id } = await create([{ type: "local_repository", path: folder }]);
    const file = await upload("late.csv");
    const api = rig.client.beta.sessions.resources;
    const added = await api.add(id, { type: "file", file_id: file.id, mount_path: "/in/late.csv" });
    expect(added).toEqual({
      id: expect.stringMatching(/^sesrsc_/),
      type: "file",
      file_id: expect.stringMatching(/^file_/),
      mount_path: "/mnt/session/uploads/in/late.csv",
      created_at: expect.any(String),
      updated_at: expect.any(String),
    });
    expect(added.file_id).not.toBe(file.id);
    expect(await api.retrieve(added.id, { session_id: id })).toEqual(added);
    expect((await rig.client.beta.files.list({ scope_id: id })).data).toMatchObject([{ id: added.file_id }]);
    const twin = await api.add(id, { type: "file", file_id: added.file_id });
    for (const mount_path of ["/in/late.csv", "/in", "/in/late.csv/x"]) {
      const error = await refusalOf(api.add(id, { type: "file", file_id: file.id, mount_path }));
      expect([error.status, error.message]).toEqual([400, expect.stringMatching(/`mount_path`.*is taken/)]);
    }
    expect(await api.delete(added.id, { session_id: id })).toEqual({ id: added.id, type: "session_resource_deleted" });
    expect((await refusalOf(api.delete(added.id, { session_id: id }))).status).toBe(404);
    expect((await refusalOf(rig.client.beta.files.retrieveMetadata(added.file_id))).status).toBe(404);
    expect((await rig.client.beta.sessions.retrieve(id)).resources).toMatchObject([{ type: "local_repository" }, twin]);
    expect((await rig.ledger.getSession(id))?.fold.detached).toEqual([added]);
  });

  test("what cannot be added is refused, and a repository can be let go of", async () => {
    const { id, resources } = await create([{ type: "local_repository", path: folder }]);
    const api = rig.client.beta.sessions.resources;
    const repository = resources[0]?.id ?? "";
    expect(await api.retrieve(repository, { session_id: id })).toEqual(resources[0]);
    expect((await refusalOf(api.retrieve("sesrsc_none", { session_id: id }))).status).toBe(404);
    const refuse = async (body: unknown) => (await refusalOf(api.add(id, body as never))).message;
    expect(await refuse({ type: "file", file_id: "file_none" })).toMatch(/`file_id`: there is no file/);
    expect(await refuse({ type: "file" })).toMatch(/file_id/);
    expect(await refuse({ type: "github_repository", url: "https://x.org/y" })).toMatch(/`type` must be/);
    const update = { session_id: id, authorization_token: "t" };
    expect((await refusalOf(api.update(repository, update))).status).toBe(400);
    await api.delete(repository, { session_id: id });
    expect((await rig.client.beta.sessions.retrieve(id)).resources).toEqual([]);
    const file = await upload("x");
    expect((await refusalOf(api.add("sesn_none", { type: "file", file_id: file.id }))).status).toBe(404);
    await rig.client.beta.sessions.archive(id);
    expect((await refusalOf(api.add(id, { type: "file", file_id: file.id }))).status).toBe(400);
  });

  test("there are at most 500", async () => {
    const file = await upload("many");
    const many = Array.from({ length: 500 }, (_, i) => ({ type: "file", file_id: file.id, mount_path: `/${i}` }));
    const { id } = await create(many);
    const error = await refusalOf(rig.client.beta.sessions.resources.add(id, { type: "file", file_id: file.id }));
    expect([error.status, error.message]).toEqual([400, expect.stringMatching(/at most 500/)]);
    expect((await create([...many, { type: "file", file_id: file.id }])).status).toBe(400);
  });
});
