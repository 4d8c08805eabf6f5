import { afterAll, beforeAll, expect, test } from "vitest";
import { SandboxLost, type SandboxProvider, type SkillMount } from "../../port.ts";
import { runTool } from "../../testing/bench.ts";
import { type Install, limitedRequest, newInstall } from "../testing/install.ts";

const session = "sesn_skillrebuild";
let install: Install;
let provider: SandboxProvider;
beforeAll(async () => {
  install = await newInstall();
  provider = install.open();
});
afterAll(() => install.remove());

const skill: SkillMount = {
  id: "skver_1",
  name: "doing",
  path: "/workspace/skills/doing",
  read: async () => [{ path: "SKILL.md", executable: false, bytes: Buffer.from("# do it") }],
};

test("skills outlive a kill of the container, and are put into the one that replaces a removed one", async () => {
  const request = limitedRequest(session, { skills: [skill] });
  const again = { ...request, had_sandbox: true };
  const read = async (): Promise<string> => {
    const { hand } = await provider.provision(again);
    return runTool(hand, "read", { file_path: "skills/doing/SKILL.md" });
  };
  const { hand } = await provider.provision(request);
  await runTool(hand, "bash", { command: "echo changed >> skills/doing/SKILL.md" });
  await install.kill(session);
  expect(await read()).toBe("# do itchanged\n");
  for (const { Id } of await install.containers(session)) await install.docker.getContainer(Id).remove({ force: true });
  await expect(provider.provision(again)).rejects.toBeInstanceOf(SandboxLost);
  expect(await read()).toBe("# do it");
});
