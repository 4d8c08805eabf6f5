import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setupSkills } from "@anthropic-ai/sdk/tools/agent-toolset/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";
import { formFiles, manifest, zipFile } from "./testing/uploads.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const toolset = [{ type: "agent_toolset_20260401" as const }];

async function upload(name: string, more: Record<string, string> = {}) {
  const files = await formFiles({ [`${name}/SKILL.md`]: manifest(name), ...more });
  return rig.client.beta.skills.create({ files });
}

describe.each(["beta", "ga"] as const)("the %s namespace", (namespace) => {
  const skills = () => (namespace === "beta" ? rig.client.beta.skills : rig.client.skills);

  test("create, retrieve, list, versions, delete", async () => {
    const name = `report-${namespace}`;
    const files = await formFiles({
      [`${name}/SKILL.md`]: manifest(name, "Writes reports."),
      [`${name}/a/b.txt`]: "b",
    });
    const skill = await skills().create({ files, display_name: "Reports" });
    expect(skill).toEqual({
      id: expect.stringMatching(/^skill_/),
      type: "skill",
      display_name: "Reports",
      latest_version_id: expect.stringMatching(/^skver_/),
      source: { type: "custom" },
      created_at: expect.any(String),
      updated_at: skill.created_at,
    });
    expect(await skills().retrieve(skill.id)).toEqual(skill);
    const of = { skill_id: skill.id };
    const first = await skills().versions.retrieve("latest", of);
    expect(first).toEqual({
      id: skill.latest_version_id,
      type: "skill_version",
      skill_id: skill.id,
      name,
      description: "Writes reports.",
      created_at: skill.created_at,
    });
    expect(await skills().versions.retrieve(first.id, of)).toEqual(first);

    const better = await formFiles({ [`${name}/SKILL.md`]: manifest(name, "Writes better reports.") });
    const second = await skills().versions.create(skill.id, { files: better });
    expect(second).toMatchObject({ name, description: "Writes better reports.", skill_id: skill.id });
    expect((await skills().retrieve(skill.id)).latest_version_id).toBe(second.id);
    const listed: string[] = [];
    for await (const version of skills().versions.list(skill.id, { limit: 1 })) listed.push(version.id);
    expect(listed).toEqual([second.id, first.id]);

    expect(await skills().versions.delete(second.id, of)).toEqual({ id: second.id, type: "skill_version_deleted" });
    expect((await skills().retrieve(skill.id)).latest_version_id).toBe(first.id);
    const last = await refusalOf(skills().versions.delete(first.id, of));
    expect([last.status, last.message]).toEqual([400, expect.stringMatching(/Delete the skill instead/)]);
    const other = await upload(`other-${namespace}`);
    const names: string[] = [];
    for await (const one of skills().list({ limit: 1, source: "custom" })) names.push(one.id);
    expect(names.slice(0, 2)).toEqual([other.id, skill.id]);
    expect((await skills().list({ source: "anthropic" })).data).toEqual([]);
    expect((await refusalOf(skills().list({ source: "mine" }))).status).toBe(400);
    expect((await refusalOf(skills().list({ page: "x" }))).status).toBe(400);

    expect(await skills().delete(skill.id)).toEqual({ id: skill.id, type: "skill_deleted" });
    const gone = [
      () => skills().retrieve(skill.id),
      () => skills().delete(skill.id),
      () => skills().versions.retrieve("latest", of),
      () => skills().versions.retrieve(first.id, { skill_id: other.id }),
      () => skills().versions.list(skill.id),
      () => skills().versions.delete(first.id, of),
      () => skills().versions.create(skill.id, { files: better }),
      () => skills().retrieve("xlsx"),
    ];
    for (const call of gone) expect((await refusalOf(call())).status).toBe(404);
  });
});

test("a skill keeps its name, and is named after its folder when SKILL.md gives none", async () => {
  const text = "---\ndescription: 2024\n---\n";
  const skill = await rig.client.beta.skills.create({ files: await formFiles({ "by-folder/SKILL.md": text }) });
  expect(skill.display_name).toBe("by-folder");
  const version = await rig.client.beta.skills.versions.retrieve("latest", { skill_id: skill.id });
  expect(version).toMatchObject({ name: "by-folder", description: "2024" });
  const other = await formFiles({ "by-folder/SKILL.md": manifest("another") });
  const error = await refusalOf(rig.client.beta.skills.versions.create(skill.id, { files: other }));
  expect([error.status, error.message]).toEqual([400, expect.stringMatching(/A skill keeps its name/)]);
});

test("a zip archive keeps executable bits, and comes back as one that gives the same skill", async () => {
  const members = [
    { path: "packed/" },
    { path: "packed/SKILL.md", text: manifest("packed") },
    { path: "packed/bin/run", text: "#!/bin/sh\n", mode: 0o100755 },
    { path: "__MACOSX/packed/._SKILL.md", text: "x" },
  ];
  const skill = await rig.client.beta.skills.create({ files: [await zipFile(members)] });
  const download = () => rig.client.beta.skills.versions.download(skill.latest_version_id, { skill_id: skill.id });
  const answer = await download();
  expect(answer.headers.get("content-disposition")).toContain("packed.zip");
  const archive = Buffer.from(await answer.arrayBuffer());
  const again = await rig.client.beta.skills.create({ files: [new File([archive], "again.zip")] });
  const second = await rig.client.beta.skills.versions.download(again.latest_version_id, { skill_id: again.id });
  expect(Buffer.from(await second.arrayBuffer())).toEqual(archive);
  expect(archive.includes("MACOSX")).toBe(false);
});

describe("agents and sessions", () => {
  test("references are checked, kept as given and pinned by a session, which outlives the skill", async () => {
    const { beta } = rig.client;
    const skill = await upload("pinned");
    const skills = [{ type: "custom" as const, skill_id: skill.id }];
    const agent = await beta.agents.create({ name: "a", model: "m", tools: toolset, skills });
    expect(agent.skills).toEqual([{ type: "custom", skill_id: skill.id, version: "latest" }]);
    const id = await rig.session({ agent: agent.id });
    const first = [{ type: "custom", skill_id: skill.id, version: skill.latest_version_id }];
    expect((await beta.sessions.retrieve(id)).agent.skills).toEqual(first);
    const files = await formFiles({ "pinned/SKILL.md": manifest("pinned", "Newer.") });
    const newer = await beta.skills.versions.create(skill.id, { files });
    const next = await beta.sessions.retrieve(await rig.session({ agent: agent.id }));
    expect(next.agent.skills).toEqual([{ ...first[0], version: newer.id }]);
    await beta.skills.delete(skill.id);
    const fold = (await rig.ledger.getSession(id))?.fold;
    expect(fold?.skills).toMatchObject([
      { name: "pinned", path: "/workspace/skills/pinned", version: skill.latest_version_id },
    ]);
    expect(await rig.ports.blobs.get(fold?.skills?.[0]?.sha256 ?? "")).toBeInstanceOf(Uint8Array);
    const error = await refusalOf(rig.session({ agent: agent.id }));
    expect([error.status, error.message]).toEqual([
      400,
      expect.stringMatching(/`agent\.skills\[0\]\.skill_id`.*no skill/),
    ]);
    expect((await beta.agents.update(agent.id, { version: 1, skills: null })).skills).toEqual([]);
  });

  test("the agents of a roster bring their skills along", async () => {
    const { beta } = rig.client;
    const [mine, theirs] = [await upload("mine"), await upload("theirs")];
    const helper = await beta.agents.create({
      name: "helper",
      model: "m",
      tools: toolset,
      skills: [{ type: "custom", skill_id: theirs.id }],
    });
    const agent = { name: "a", model: "m", tools: toolset, skills: [{ type: "custom" as const, skill_id: mine.id }] };
    const three = {
      type: "multiagent_20261001" as const,
      subagents: { type: "enabled" as const, predefined_agents: [helper.id] },
    };
    for (const multiagent of [
      { type: "coordinator" as const, agents: [helper.id, { type: "self" as const }] },
      three,
    ]) {
      const { id } = await beta.agents.create({ ...agent, multiagent });
      const fold = (await rig.ledger.getSession(await rig.session({ agent: id })))?.fold;
      expect(fold?.skills?.map(({ path }) => path)).toEqual(["/workspace/skills/mine", "/workspace/skills/theirs"]);
      expect(JSON.stringify(fold?.agent)).not.toContain('"latest"');
    }
    await beta.skills.delete(theirs.id);
    const { id } = await beta.agents.create({ ...agent, multiagent: { type: "coordinator", agents: [helper.id] } });
    const error = await refusalOf(rig.session({ agent: id }));
    expect([error.status, error.message]).toEqual([
      400,
      expect.stringMatching(/agent\.multiagent\.agents\[0\]\.skills\[0\]/),
    ]);
  });

  test("a skill of Anthropic's needs an uploaded one of its name", async () => {
    const { beta } = rig.client;
    const skills = [{ type: "anthropic" as const, skill_id: "pptx" }];
    const create = () => beta.agents.create({ name: "a", model: "m", tools: toolset, skills });
    const error = await refusalOf(create());
    expect([error.status, error.message]).toEqual([400, expect.stringMatching(/cannot be had on this machine/)]);
    const uploaded = await upload("pptx");
    const agent = await create();
    expect(agent.skills).toEqual([{ type: "anthropic", skill_id: "pptx", version: "latest" }]);
    const session = await beta.sessions.retrieve(await rig.session({ agent: agent.id }));
    expect(session.agent.skills).toEqual([{ ...skills[0], version: uploaded.latest_version_id }]);
    expect((await beta.skills.retrieve("pptx")).id).toBe(uploaded.id);
  });

  test("what cannot work is refused", async () => {
    const { beta } = rig.client;
    const one = await upload("one");
    const twin = await upload("one");
    const custom = (skill_id: string, version?: string) => ({
      type: "custom" as const,
      skill_id,
      version: version ?? null,
    });
    const refuse = async (skills: ReturnType<typeof custom>[], tools: object[] = toolset) =>
      (await refusalOf(beta.agents.create({ name: "a", model: "m", tools: tools as typeof toolset, skills }))).message;
    expect(await refuse([custom("skill_none")])).toMatch(/`skills\[0\]\.skill_id`: there is no skill/);
    expect(await refuse([custom(one.id, twin.latest_version_id)])).toMatch(/`skills\[0\]\.version`/);
    expect(await refuse([custom(one.id), custom(twin.id)])).toMatch(/two skills named/);
    expect(await refuse(Array.from({ length: 21 }, () => custom(one.id)))).toMatch(/`skills`/);
    expect(await refuse([custom(one.id)], [])).toMatch(/`tools` must hold agent_toolset_20260401/);
    const noRead = [{ ...toolset[0], configs: [{ name: "read", enabled: false }] }];
    expect(await refuse([custom(one.id)], noRead)).toMatch(/`read` tool enabled/);

    const skills = [custom(one.id)];
    const agent = await beta.agents.create({ name: "a", model: "m", tools: toolset, skills });
    expect((await refusalOf(beta.agents.update(agent.id, { version: 1, tools: [] }))).message).toMatch(
      /clear `skills`/,
    );
    const overrides = (more: object) => rig.session({ agent: { type: "agent_with_overrides", id: agent.id, ...more } });
    expect((await refusalOf(overrides({ tools: null }))).message).toMatch(/clear `skills`/);
    const none = await beta.sessions.retrieve(await overrides({ tools: null, skills: null }));
    expect(none.agent.skills).toEqual([]);
    const id = await overrides({ skills: [custom(twin.id)] });
    expect((await beta.sessions.retrieve(id)).agent.skills).toMatchObject([{ skill_id: twin.id }]);
    expect((await refusalOf(beta.sessions.update(id, { agent: { tools: [] } }))).message).toMatch(/clear `skills`/);
  });
});

test("the SDK's own setupSkills puts a session's skills in place", async () => {
  const script = { path: "sdk-made/scripts/go.sh", text: "echo hi\n", mode: 0o100755 };
  const archive = await zipFile([{ path: "sdk-made/SKILL.md", text: manifest("sdk-made") }, script]);
  const skill = await rig.client.beta.skills.create({ files: [archive] });
  const skills = [{ type: "custom" as const, skill_id: skill.id }];
  const agent = await rig.client.beta.agents.create({ name: "a", model: "m", tools: toolset, skills });
  const session = await rig.client.beta.sessions.retrieve(await rig.session({ agent: agent.id }));
  const workdir = await mkdtemp(join(tmpdir(), "skills-"));
  try {
    const cleanUp = await setupSkills({ client: rig.client, session, workdir });
    const folder = join(workdir, "skills", "sdk-made");
    expect(await readFile(join(folder, "SKILL.md"), "utf8")).toBe(manifest("sdk-made"));
    expect((await stat(join(folder, "scripts", "go.sh"))).mode & 0o111).not.toBe(0);
    await cleanUp();
  } finally {
    await rm(workdir, { recursive: true });
  }
});
