/** Skills, and files that come and go while the session lives. */
import { expect, test } from "vitest";
import type { FileResource, ProvisionRequest, SkillMount } from "../port.ts";
import { type Bench, provisionRequest, runTool } from "./bench.ts";

function file(id: string, mount_path: string): FileResource {
  return { id, type: "file", file_id: id, mount_path, created_at: "", updated_at: "" };
}

export function attachmentsSuite(bench: Bench): void {
  test("skills are in place before the first call, once, as the agent's own files", async () => {
    const session = "sesn_skills";
    const steps: string[] = [];
    let reads = 0;
    const skill = (id: string, path: string): SkillMount => ({
      id,
      name: path.split("/").at(-1) ?? "",
      path,
      read: async () => {
        reads += 1;
        if (id === "skver_gone") throw new Error("its bytes are gone");
        return [
          { path: "SKILL.md", executable: false, bytes: Buffer.from("# do it") },
          { path: "bin/deep/run", executable: true, bytes: Buffer.from("#!/bin/sh\necho ran\n") },
        ];
      },
    });
    const skills = [
      skill("skver_1", "/workspace/skills/doing"),
      skill("skver_gone", "/workspace/skills/gone"),
      skill("skver_2", "/mnt/session/skills/beside"),
    ];
    const request = provisionRequest(session, {
      skills,
      onStep: ({ step, error }) => steps.push(`${step}${error === null ? "" : `: ${error}`}`),
    });
    const { hand } = await bench.provider.provision(request);
    const bash = (command: string): Promise<string> => runTool(hand, "bash", { command });
    expect(await runTool(hand, "read", { file_path: "skills/doing/SKILL.md" })).toBe("# do it");
    expect(await runTool(hand, "read", { file_path: "/mnt/session/skills/beside/SKILL.md" })).toBe("# do it");
    expect(await bash("test -x skills/doing/bin/deep/run && ! test -x skills/doing/SKILL.md && echo bits")).toBe(
      "bits",
    );
    expect(steps).toContainEqual(expect.stringMatching(/skill doing at \/workspace\/skills\/doing \(2 files/));
    expect(steps).toContainEqual(expect.stringMatching(/skill gone: its bytes are gone/));
    expect(await bash("ls skills; echo mine > skills/doing/bin/note; echo changed > skills/doing/SKILL.md")).toBe(
      "doing",
    );
    await bench.provider.provision(request);
    // Only what is missing is tried again; what the agent changed stays as it is.
    expect(reads).toBe(4);
    expect(await bash("cat skills/doing/SKILL.md skills/doing/bin/note; mkdir skills/gone; touch skills/gone/x")).toBe(
      "changed\nmine",
    );
    steps.length = 0;
    await bench.provider.provision(request);
    expect(steps).toContainEqual(expect.stringMatching(/skill gone: .*(taken|gone)/));
    await bench.provider.destroy(session);
  });

  test("a file can be attached to a sandbox that works, and taken away again", async () => {
    const session = "sesn_later";
    const errors: string[] = [];
    const request = (more: Partial<ProvisionRequest>): ProvisionRequest =>
      provisionRequest(session, {
        readFile: async (id) => ({ filename: "x", bytes: Buffer.from(`bytes of ${id}`) }),
        onStep: ({ error }) => void (error === null ? undefined : errors.push(error)),
        ...more,
      });
    const [first, late] = [file("sesrsc_first", "/a.txt"), file("sesrsc_late", "/in/late.txt")];
    const { hand } = await bench.provider.provision(request({ resources: [first] }));
    const show = (): Promise<string> =>
      runTool(hand, "bash", {
        command:
          "cd /mnt/session/uploads; for f in a.txt in/late.txt; do cat $f 2>/dev/null || printf none; echo; done",
      });
    expect(await show()).toBe("bytes of sesrsc_first\nnone");
    await bench.provider.provision(request({ resources: [first, late] }));
    expect(await show()).toBe("bytes of sesrsc_first\nbytes of sesrsc_late");
    await bench.provider.provision(request({ resources: [late], detached: [first] }));
    expect(await show()).toBe("none\nbytes of sesrsc_late");
    // At the same place as before, and another one took it: that stays.
    const again = file("sesrsc_again", "/a.txt");
    await bench.provider.provision(request({ resources: [late, again], detached: [first] }));
    await bench.provider.provision(request({ resources: [late, again], detached: [first] }));
    expect(await show()).toBe("bytes of sesrsc_again\nbytes of sesrsc_late");
    expect(errors).toEqual([]);
    await bench.provider.destroy(session);
  });
}
