/** Sandboxes are built once, found again, and removed whole. */
import { expect, test } from "vitest";
import { SandboxLost } from "../port.ts";
import { type Bench, failureOf, newCallId, provisionRequest, runTool } from "./bench.ts";

export function provisioningSuite(bench: Bench): void {
  test("provisioning again, and twice at once, is the same sandbox", async () => {
    await bench.bash("echo same > same.txt");
    const [a, b] = await Promise.all([
      bench.provider.provision(provisionRequest(bench.session)),
      bench.provider.provision(provisionRequest(bench.session)),
    ]);
    for (const { hand: again } of [a, b]) {
      expect(await runTool(again, "read", { file_path: "same.txt" })).toBe("same\n");
    }
  });

  test("an attached file is there, once, read-only, with its step", async () => {
    const steps: string[] = [];
    let opened = 0;
    const request = provisionRequest("sesn_files", {
      resources: ["/data.csv", "/mnt/session/uploads/in/deep.bin", ""].map((mount_path, i) => ({
        id: `sesrsc_${i}`,
        type: "file" as const,
        file_id: `file_${i}`,
        mount_path,
        created_at: "",
        updated_at: "",
      })),
      onStep: ({ step, error }) => steps.push(`${step}${error ?? ""}`),
      readFile: async (id) => {
        opened += 1;
        return { filename: "x", bytes: Buffer.from(`bytes of ${id}`) };
      },
    });
    const made = await bench.provider.provision(request);
    const show = "cd /mnt/session/uploads; cat data.csv in/deep.bin file_2";
    expect(await runTool(made.hand, "bash", { command: show })).toBe("bytes of file_0bytes of file_1bytes of file_2");
    await failureOf(runTool(made.hand, "bash", { command: "echo x >> /mnt/session/uploads/data.csv" }));
    expect(steps.join("\n")).toContain("/mnt/session/uploads/data.csv");
    await bench.provider.provision(request);
    expect(opened).toBe(3);
    await bench.provider.destroy("sesn_files");
  });

  test("a resource that cannot be attached is a step with an error; the rest works", async () => {
    const errors: (string | null)[] = [];
    const file = { type: "file" as const, created_at: "", updated_at: "" };
    const made = await bench.provider.provision(
      provisionRequest("sesn_broken", {
        resources: [
          { ...file, id: "sesrsc_gone", file_id: "file_gone", mount_path: "/gone" },
          { ...file, id: "sesrsc_here", file_id: "file_here", mount_path: "/here" },
        ],
        onStep: (step) => errors.push(step.error),
        readFile: async (id) => {
          if (id === "file_gone") throw new Error("the file was deleted");
          return { filename: "x", bytes: Buffer.from("here") };
        },
      }),
    );
    expect(errors).toContain("the file was deleted");
    expect(await runTool(made.hand, "read", { file_path: "/mnt/session/uploads/here" })).toBe("here");
    await bench.provider.destroy("sesn_broken");
  });

  test("sessions do not see each other", async () => {
    const other = await bench.provider.provision(provisionRequest("sesn_other"));
    expect(await runTool(other.hand, "bash", { command: "ls /workspace" })).toBe("(no output)");
    await bench.provider.destroy("sesn_other");
  });

  test("destroying removes everything, twice is once, and another provider finds nothing", async () => {
    const id = newCallId();
    const made = await bench.provider.provision(provisionRequest("sesn_doomed"));
    await runTool(made.hand, "bash", { command: "mkdir locked; echo x > locked/f; chmod 000 locked" }, id);
    await bench.provider.destroy("sesn_doomed");
    await bench.provider.destroy("sesn_doomed");
    const other = bench.subject.open();
    expect(await other.callState("sesn_doomed", id)).toBe("unknown");
    expect(await other.changes("sesn_doomed", [])).toEqual([]);
    const again = await other.provision(provisionRequest("sesn_doomed"));
    expect(again.adopted).toBe(false);
    expect(await runTool(again.hand, "bash", { command: "ls /workspace" })).toBe("(no output)");
    await other.destroy("sesn_doomed");
    await other.close();
    await expect(runTool(again.hand, "bash", { command: "ls" })).rejects.toBeInstanceOf(SandboxLost);
  });
}
