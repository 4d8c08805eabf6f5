/** What a session has attached reaches its sandbox and its model: skills from the start, files whenever they come. */
import { afterEach, expect, test } from "vitest";
import { call, say } from "../../e2e/model_server/script.ts";
import type { SessionResource } from "../contract/events.ts";
import { newId } from "../contract/ids.ts";
import { packSkill } from "../contract/skills/skill_pack.ts";
import type { ProvisionRequest } from "../sandbox/port.ts";
import { message, of, type Rig, snapshot, startRig } from "./testing/rig.ts";

let rig: Rig;
afterEach(() => rig.close());

const bash = (command: string) => call({ name: "bash", input: { command } });

const file: SessionResource & { type: "file" } = {
  id: "sesrsc_late",
  type: "file",
  file_id: "file_late",
  mount_path: "/mnt/session/uploads/late.csv",
  created_at: "",
  updated_at: "",
};

test("a skill's files and description are there before the first call, though the skill was deleted", async () => {
  rig = await startRig([bash("ls"), say("Done.")]);
  const requests: ProvisionRequest[] = [];
  rig.sandbox.provisioning = async (request) => void requests.push(request);
  const files = [{ path: "SKILL.md", executable: false, bytes: Buffer.from("# do") }];
  const sha256 = await rig.ports.blobs.put(packSkill(files));
  const id = newId("session");
  const session = snapshot({ skills: [{ type: "custom", skill_id: "skill_gone", version: "skver_1" }] });
  const path = "/workspace/skills/doing";
  const skills = [{ version: "skver_1", name: "doing", description: "Does\n  it.", path, sha256 }];
  await rig.ledger.createSession(id, [{ type: "longhaul.session_created", session: { ...session, skills } }]);
  await rig.ledger.emitEvent(id, message("Go."));
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  expect(requests[0]?.skills).toMatchObject([{ id: "skver_1", name: "doing", path }]);
  const read = await requests[0]?.skills?.[0]?.read();
  expect(read?.map((one) => [one.path, Buffer.from(one.bytes).toString()])).toEqual([["SKILL.md", "# do"]]);
  const [first, second] = rig.server.requests.map(({ body }) => JSON.stringify((body as { system: unknown }).system));
  expect(first).toContain("- doing (/workspace/skills/doing/SKILL.md): Does it.");
  expect(second).toBe(first);
});

test("a file that is attached in mid-turn is in the sandbox by the next call, and no longer once it is removed", async () => {
  rig = await startRig([bash("one"), bash("two"), bash("three"), say("Done.")]);
  const attached: string[][] = [];
  rig.sandbox.provisioning = async ({ resources, detached = [] }) => {
    attached.push(
      [...resources, ...detached.map(({ id }) => ({ id: `-${id}` }))].map((each) => ("id" in each ? each.id : "")),
    );
  };
  const id = await rig.create();
  rig.sandbox.behaviour = async (_name, input) => {
    const { command } = input as { command: string };
    if (command === "one") await rig.ledger.emitEvent(id, { type: "longhaul.resource_added", resource: file });
    if (command === "two") await rig.ledger.emitEvent(id, { type: "longhaul.resource_removed", resource_id: file.id });
    return command;
  };
  await rig.send(id, message("Go."));
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  expect(attached).toEqual([[], ["sesrsc_late"], ["-sesrsc_late"]]);
  const causes = of(await rig.events(id), "longhaul.sandbox_provisioning").map(({ cause }) => cause);
  expect(causes).toEqual(["first_tool_call", "resources_changed", "resources_changed"]);
  const told = rig.server.requests.map(({ body }) =>
    JSON.stringify(body).includes("uploaded file is at /mnt/session/uploads/late.csv"),
  );
  expect(told).toEqual([false, true, false, false]);
  expect(rig.errors).toEqual([]);
});
