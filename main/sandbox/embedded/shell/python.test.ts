import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { ShellOutput } from "../../machine.ts";
import { makeSandboxFolders } from "../layout.ts";
import { Shell } from "./shell.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let root: string;
let shell: Shell;

function run(command: string): Promise<ShellOutput> {
  const signal = new AbortController().signal;
  return shell.run(command, { timeoutMs: 30_000, signal, onOutput: () => undefined, spillName: "spill.txt" });
}

const FILES: Record<string, string> = {
  "workspace/app/main.py": [
    '"""A program."""',
    "from __future__ import annotations",
    "import sys, helper",
    "from pkg.deep import where",
    'if __name__ == "__main__":',
    "    print(helper.NAME, where(), sys.argv, __file__)",
    '    print("""two',
    'lines""")',
  ].join("\n"),
  "workspace/app/helper.py": "NAME = 'helper é'\ndef fail():\n    raise ValueError('broken')\n",
  "workspace/app/pkg/__init__.py": "",
  "workspace/app/pkg/deep.py": "import pathlib\ndef where(): return str(pathlib.Path(__file__).resolve().parent)\n",
  "workspace/app/pkg/__main__.py": "import sys\nfrom .deep import where\nprint('module', where(), sys.argv)\n",
  "workspace/app/fails.py": "import helper\n\nhelper.fail()\n",
  "workspace/app/syntax.py": "print('never')\nx = = 1\n",
  "workspace/app/cli.py":
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('--n', help='a number')\nprint(p.parse_args())\n",
  "workspace/app/pickled.py": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__module__)\n",
  "workspace/app/data.py": "import os\nprint(open(os.path.join(os.path.dirname(__file__), 'data.txt')).read())\n",
  "workspace/app/data.txt": "data",
  "workspace/my code/a b.py": "import beside\nprint(beside.X, input())\n",
  "workspace/my code/beside.py": "X = 'spaces'\n",
  "workspace/lib/only.py": "Y = 'from the path'\n",
  "workspace/app/tests/__init__.py": "",
  "workspace/app/tests/test_it.py":
    "import unittest, helper\nclass T(unittest.TestCase):\n  def test(self): self.assertTrue(helper.NAME)\n",
  "tmp/s/t.py": "import u\nprint(u.__file__)\n",
  "tmp/s/u.py": "",
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "longhaul-python-"));
  makeSandboxFolders(root);
  for (const [path, content] of Object.entries(FILES)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  shell = new Shell(root, join(import.meta.dirname, "../host.ts"), { cwd: "/workspace", env: {} }, () => undefined);
});

afterAll(async () => {
  await shell.close();
  await rm(root, { recursive: true, force: true });
});

const MAIN = "/workspace/app/main.py\ntwo\nlines\n";
const cases: [command: string, text: string, exitCode?: number][] = [
  ["python3 app/main.py 'x y' --help", `helper é /workspace/app/pkg ['app/main.py', 'x y', '--help'] ${MAIN}`],
  ["cd app; python -- ./main.py; cd ..", `helper é /workspace/app/pkg ['./main.py'] ${MAIN}`],
  [
    "cd /; /usr/bin/python3 workspace/app/main.py; cd workspace",
    `helper é /workspace/app/pkg ['workspace/app/main.py'] ${MAIN}`,
  ],
  [
    "ln -s app/main.py linked.py; python3 linked.py | head -1",
    `helper é /workspace/app/pkg ['linked.py'] /workspace/linked.py\n`,
  ],
  ["echo typed | python3 'my code/a b.py'", "spaces typed\n"],
  ["cd app; python3 -c 'import sys, helper; print(helper.NAME, sys.argv)' -x; cd ..", "helper é ['-c', '-x']\n"],
  ["cd app; python3 -m pkg 1; cd ..", "module /workspace/app/pkg ['/workspace/app/pkg/__main__.py', '1']\n"],
  [
    "cd app; python3 - 1 <<'E'\nimport sys, helper\nprint(helper.NAME, '''a\nb''', sys.argv, 'ü')\nE\ncd ..",
    "helper é a\nb ['-', '1'] ü\n",
  ],
  ["cd app; echo 'import helper; print(helper.NAME)' | python3; cd ..", "helper é\n"],
  ["PYTHONPATH=lib:app python3 -c 'import only, helper; print(only.Y)'", "from the path\n"],
  ["cd /; PYTHONPATH=workspace/lib python3 -c 'import only, os; print(os.getcwd())'; cd workspace", "/\n"],
  [
    "cd app; echo 'print(6)' > six.py; ls six.py | xargs python3; env python3 six.py; echo \"$(python3 six.py)\"; cd ..",
    "6\n6\n6\n",
  ],
  [
    "cd app; python3 -m unittest -q tests.test_it 2>&1 | tail -1; python3 -m unittest 2>&1 | tail -1; cd ..",
    "OK\nOK\n",
  ],
  ['echo \'{"a": "é"}\' | python3 -m json.tool --no-ensure-ascii --compact', '{"a":"é"}\n'],
  ["timeout 1 python3 -c 'while True: pass'", "", 124],
  ["python3 /tmp/s/t.py", "/host/tmp/s/u.py\n"],
  ["python3 app/data.py && python3 app/pickled.py", "data\n__main__\n"],
  ["python3 app/cli.py --n 3; python3 app/cli.py --help | grep -c 'a number'", "Namespace(n='3')\n1\n"],
  ["python3 -c 'import sys; sys.exit(7)'", "", 7],
  ["python3 -c 'import sys; sys.exit(\"told\")'", "told\n", 1],
  ["python3 -c 'raise SystemExit'", "", 0],
  [
    "python3 -c 'raise KeyboardInterrupt' 2>&1 | tail -1; python3 -c 'raise KeyboardInterrupt' 2>/dev/null",
    "KeyboardInterrupt\n",
    130,
  ],
  [
    'python3 -c \'import os; open("/workspace/m", "w").close(); os.rename("/workspace/m", "/workspace/n")\' && ls n',
    "n\n",
  ],
  ["python3 gone.py", "python3: can't open file 'gone.py': [Errno 2] No such file or directory\n", 2],
  ["python3 --version", "Python 3.13.2 (Emscripten)\n"],
  [
    "python3 app/fails.py",
    [
      "Traceback (most recent call last):",
      '  File "/workspace/app/fails.py", line 3, in <module>',
      "    helper.fail()",
      "    ~~~~~~~~~~~^^",
      '  File "/workspace/app/helper.py", line 3, in fail',
      "    raise ValueError('broken')",
      "ValueError: broken\n",
    ].join("\n"),
    1,
  ],
  [
    "python3 app/syntax.py",
    '  File "/workspace/app/syntax.py", line 2\n    x = = 1\n        ^\nSyntaxError: invalid syntax\n',
    1,
  ],
];

test.each(cases)("%s", async (command, text, exitCode = 0) => {
  expect(await run(command)).toEqual({ exitCode, text, truncated: null });
});

test("a file that changed within the second is imported anew, and nothing is left beside it", async () => {
  const once = (n: number): string => `echo 'V = ${n}' > app/v.py; python3 -c 'import app.v; print(app.v.V)'`;
  expect((await run(`${once(1)}; ${once(2)}`)).text).toBe("1\n2\n");
  expect(await readdir(join(root, "workspace/app"))).not.toContain("__pycache__");
});
