/** `read`, `write`, `edit`, `glob` and `grep` on any machine. */
import { expect, test } from "vitest";
import { OUTPUT_LIMIT } from "../machine.ts";
import { type Bench, type Fields, failureOf, runTool } from "./bench.ts";

export function filesSuite(bench: Bench): void {
  const read = (input: Fields): Promise<string> => runTool(bench.hand, "read", input);
  const write = (file_path: string, content: string): Promise<string> =>
    runTool(bench.hand, "write", { file_path, content });
  const edit = (input: Fields): Promise<string> => runTool(bench.hand, "edit", input);

  test("write creates folders, counts bytes, and the shell sees the file", async () => {
    expect(await write("notes/a.txt", "grüße\n")).toBe("wrote 8 bytes to notes/a.txt");
    expect(await bench.bash("cat notes/a.txt")).toBe("grüße");
    expect(await write("/workspace/notes/a.txt", "")).toBe("wrote 0 bytes to /workspace/notes/a.txt");
    expect(await read({ file_path: "notes/a.txt" })).toBe("");
  });

  test("write keeps the mode of a file that is there", async () => {
    await bench.bash("echo x > run.sh; chmod 755 run.sh");
    await write("run.sh", "echo ran\n");
    expect(await bench.bash("./run.sh")).toBe("ran");
  });

  test("read returns the text as it is, or the lines asked for", async () => {
    await write("lines.txt", "one\ntwo\r\nthree\nfour");
    expect(await read({ file_path: "lines.txt" })).toBe("one\ntwo\r\nthree\nfour");
    expect(await read({ file_path: "lines.txt", view_range: [2, 3] })).toBe("two\r\nthree");
    expect(await read({ file_path: "lines.txt", view_range: [3, 0] })).toBe("three\nfour");
    expect(await read({ file_path: "lines.txt", view_range: [9, 12] })).toBe("");
    expect(await read({ file_path: "lines.txt", view_range: [3, 2] })).toBe("");
    expect(await failureOf(read({ file_path: "lines.txt", view_range: [1] }))).toBe(
      "read: view_range must be [start_line, end_line]",
    );
  });

  test("read refuses what is too large, missing, or not a file", async () => {
    await bench.bash("seq 1 60000 > big.txt; head -c 300000 big.txt | tr -d '\\n' > wide.txt");
    expect(await failureOf(read({ file_path: "big.txt" }))).toMatch(
      /^read: big\.txt is \d+ bytes, exceeds 262144-byte limit\. .*view_range/,
    );
    expect(await read({ file_path: "big.txt", view_range: [59999, 0] })).toBe("59999\n60000\n");
    expect(await failureOf(read({ file_path: "big.txt", view_range: [1, 0] }))).toMatch(/exceed 262144-byte limit/);
    const long = await read({ file_path: "big.txt", view_range: [1, 25000] });
    expect(long.length).toBeLessThan(100_001);
    expect(long).toMatch(/\[output truncated: .* go on with view_range: \[\d+, 0\]\]$/);
    expect(await failureOf(read({ file_path: "gone.txt" }))).toBe("read: gone.txt: no such file or directory");
    expect(await failureOf(read({ file_path: "notes" }))).toBe("read: notes is not a regular file");
    expect(await failureOf(read({}))).toBe("read: file_path is required");
  });

  test("read of a binary file is text that a request can carry", async () => {
    await bench.bash("echo UE5HAP/+AGVuZA== | base64 -d > image.bin");
    const text = await read({ file_path: "image.bin" });
    expect(text).toMatch(/^PNG.*end$/s);
    expect(text).not.toContain("\0");
    expect(text.isWellFormed()).toBe(true);
  });

  test("edit replaces one occurrence, or all", async () => {
    await write("code.txt", "a $& b\na c\n");
    expect(await edit({ file_path: "code.txt", old_string: "$& b", new_string: "$1 $` d" })).toBe(
      "edited code.txt (1 replacement(s))",
    );
    expect(await failureOf(edit({ file_path: "code.txt", old_string: "a ", new_string: "z" }))).toBe(
      "edit: old_string appears 2 times in code.txt (must be unique)",
    );
    expect(await edit({ file_path: "code.txt", old_string: "a ", new_string: "z ", replace_all: true })).toBe(
      "edited code.txt (2 replacement(s))",
    );
    expect(await read({ file_path: "code.txt" })).toBe("z $1 $` d\nz c\n");
    expect(await failureOf(edit({ file_path: "code.txt", old_string: "nope", new_string: "" }))).toBe(
      "edit: old_string not found in code.txt",
    );
    expect(await failureOf(edit({ file_path: "no.txt", old_string: "a", new_string: "b" }))).toBe(
      "edit: no.txt: no such file or directory",
    );
    expect(await failureOf(edit({ file_path: "big.txt", old_string: "1", new_string: "2" }))).toMatch(
      /exceeds 262144-byte limit/,
    );
    expect(await failureOf(edit({ file_path: "image.bin", old_string: "PNG", new_string: "GIF" }))).toMatch(
      /not UTF-8 text/,
    );
  });

  test("edits of one file at the same time all arrive", async () => {
    const words = Array.from({ length: 12 }, (_, i) => `word${i}.`);
    await write("many.txt", words.join("\n"));
    await Promise.all(
      words.map((word) => edit({ file_path: "many.txt", old_string: word, new_string: word.toUpperCase() })),
    );
    expect(await read({ file_path: "many.txt" })).toBe(words.join("\n").toUpperCase());
  });

  test("glob lists files, newest first, without .git and node_modules", async () => {
    await bench.bash(
      "mkdir -p g/src/deep g/.git g/node_modules/m; cd g; touch -d 2020-01-01 src/old.ts; touch -d 2021-01-01 src/deep/mid.ts",
    );
    await bench.bash("touch -d 2022-01-01 new.ts; touch .git/x.ts node_modules/m/y.ts src/not.js; cd ..");
    const glob = (input: Fields): Promise<string> => runTool(bench.hand, "glob", input);
    expect(await glob({ pattern: "g/**/*.ts" })).toBe(
      "/workspace/g/new.ts\n/workspace/g/src/deep/mid.ts\n/workspace/g/src/old.ts",
    );
    expect(await glob({ pattern: "src/*.ts", path: "g" })).toBe("/workspace/g/src/old.ts");
    expect(await glob({ pattern: "**/*.{js,md}", path: "/workspace/g" })).toBe("/workspace/g/src/not.js");
    expect(await glob({ pattern: "**/*.rs" })).toBe("no matches");
    expect(await glob({ pattern: "nowhere/*.ts" })).toBe("no matches");
    expect(await failureOf(glob({ pattern: "/etc/*" }))).toMatch(/absolute pattern not permitted/);
    expect(await failureOf(glob({ pattern: "{..,g}/*" }))).toMatch(/"\.\." is not permitted/);
    expect(await failureOf(glob({ pattern: "*", path: "gone" }))).toBe("glob: gone: no such file or directory");
    await bench.bash("mkdir h; cd h; for i in $(seq 1 230); do echo > f$i; done");
    expect((await glob({ pattern: "*", path: "h" })).split("\n")).toHaveLength(200);
    await bench.bash("cd /workspace; rm -r h");
  });

  test("grep finds lines with file and number", async () => {
    await bench.bash(
      "mkdir -p s/.git s/sub; printf 'alpha\\nbeta 1\\r\\ngamma\\n' > s/one.txt; echo 'beta 2' > s/sub/two.txt",
    );
    await bench.bash(
      "echo 'beta 3' > s/.git/three; printf 'beta\\0four' > s/bin.dat; head -c 5000 /dev/zero > s/zero; ln -s s/sub loop",
    );
    const grep = (input: Fields): Promise<string> => runTool(bench.hand, "grep", input);
    expect(await grep({ pattern: "beta \\d", path: "s" })).toBe(
      "/workspace/s/one.txt:2:beta 1\n/workspace/s/sub/two.txt:1:beta 2",
    );
    expect(await grep({ pattern: "beta 1", path: "s/one.txt" })).toBe("/workspace/s/one.txt:2:beta 1");
    expect(await grep({ pattern: "delta", path: "s" })).toBe("no matches");
    expect(await failureOf(grep({ pattern: "(" }))).toMatch(/^grep: invalid regex/);
    expect(await failureOf(grep({ pattern: "x", path: "gone" }))).toBe("grep: gone: no such file or directory");
    const much = await grep({ pattern: "\\d", path: "big.txt" });
    expect(much).toMatch(/\n\[output truncated at 102400 bytes\]$/);
    expect(Buffer.byteLength(much)).toBeLessThan(OUTPUT_LIMIT + 100);
  });

  test("paths that lead out are refused, however they do", async () => {
    await bench.bash(
      "ln -s /etc/passwd abs; ln -s ../../../../../../etc up; ln -s /workspace/s inside; ln -s nowhere dangling",
    );
    for (const file_path of [
      "/etc/passwd",
      "../../etc/passwd",
      "/workspace/../etc/passwd",
      "/proc/self/environ",
      "/dev/zero",
      "a\0b",
    ]) {
      expect(await failureOf(read({ file_path }))).toMatch(/^read: path .* is outside the session's working directory/);
      expect(await failureOf(write(file_path, "x"))).toMatch(/^write: path .* is outside/);
    }
    for (const file_path of ["abs", "up/passwd"]) {
      expect(await failureOf(read({ file_path }))).not.toMatch(/root:/);
      await failureOf(write(file_path, "x"));
    }
    expect(await read({ file_path: "inside/sub/two.txt" })).toBe("beta 2\n");
    expect(await write("dangling", "now")).toBe("wrote 3 bytes to dangling");
    expect(await bench.bash("cat nowhere")).toBe("now");
    expect(await failureOf(runTool(bench.hand, "grep", { pattern: "root", path: "/etc" }))).toMatch(/outside/);
  });

  test("uploads are read-only and /tmp is not", async () => {
    expect(await failureOf(write("/mnt/session/uploads/x.txt", "x"))).toBe(
      "write: /mnt/session/uploads/x.txt is inside read-only directory /mnt/session/uploads",
    );
    await failureOf(bench.bash("echo x > /mnt/session/uploads/x.txt"));
    expect(await bench.bash("ls /mnt/session/uploads")).toBe("(no output)");
    expect(await write("/tmp/t.txt", "x")).toBe("wrote 1 bytes to /tmp/t.txt");
    expect(await write("/mnt/session/outputs/o.txt", "x")).toMatch(/^wrote 1 bytes/);
  });
}
