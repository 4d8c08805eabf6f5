/**
 * `python3` as CPython starts it. just-bash pastes a program, indented, into a script of its own, in a file system that
 * is not the sandbox's: modules beside the program are not found, strings of many lines get spaces, `from __future__`
 * is refused, line numbers are wrong. So what just-bash is given is a starter that runs the program as `__main__`.
 */
import { posix } from "node:path";
import { type CommandContext, type CustomCommand, defineCommand, latin1FromBytes } from "just-bash";

interface Program {
  kind: "file" | "code" | "module" | "stdin";
  /** The file as it was named, the code, the module, or `-` for standard input that was asked for by name. */
  target: string;
  args: string[];
  /** First entry of `sys.path`. */
  directory: string;
}

/**
 * The sandbox is mounted at `/host`; what Python itself opens (imports, source lines of a traceback) goes past the
 * redirections of just-bash, hence the link. A folder whose name Python's own file system has too, as `/tmp`, is used
 * under `/host`.
 */
const STARTER = `
def _start(kind, target, args, directory):
    import importlib.util, linecache, os, posix, runpy, sys, traceback, types
    real = os.path.realpath
    def realpath(path, **options):
        found = real(path, **options)
        return found[5:] or "/" if isinstance(found, str) and (found + "/").startswith("/host/") else found
    os.path.realpath = realpath
    cwd = os.getcwd
    os.getcwd = lambda: cwd() or "/"
    links = set()
    def mounted(path):
        path = os.path.abspath(path)
        top = "/" + path.split("/")[1]
        try:
            if top not in links:
                posix.symlink("/host" + top, top)
                links.add(top)
        except OSError:
            return "/host" + path
        return path
    more = [mounted(path) for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    sys.path[0:1] = [mounted(directory), *more]
    # As in any scratch folder: no __pycache__, and no stale one when a file changes twice in a second.
    sys.dont_write_bytecode = True
    sys.argv = [{"code": "-c", "module": "-m"}.get(kind, target), *args]
    try:
        if kind == "module":
            runpy.run_module(target, run_name="__main__", alter_sys=True)
            return
        main = types.ModuleType("__main__")
        main.__builtins__ = __builtins__
        sys.modules["__main__"] = main
        if kind == "file":
            name = main.__file__ = os.path.abspath(target)
            with open(name, "rb") as file:
                source = file.read()
        elif kind == "stdin":
            name, source = "<stdin>", sys.stdin.buffer.read()
        else:
            name, source = "<string>", target.encode("utf-8", "surrogatepass")
        text = importlib.util.decode_source(source)
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec", dont_inherit=True), main.__dict__)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            raise
        print(end.code, file=sys.stderr)
        sys.exit(1)
    except BaseException as error:
        traceback.print_exception(type(error), error, error.__traceback__.tb_next)
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)
`;

/** `python3` and `python`, in place of those of just-bash, which run the starter. */
export const PYTHON_COMMANDS: CustomCommand[] = ["python3", "python"].map((name) =>
  defineCommand(name, async (args, context) => {
    const original = context.origCommand;
    if (original === undefined) throw new Error(`just-bash has no ${name} of its own`);
    const program = await programOf(args, context);
    // Options, complaints and a file that cannot be read are answered by just-bash.
    if (program === null) return original(args);
    const { kind, target, directory } = program;
    // Arrays and strings of JSON mean the same in Python.
    const given = [kind, target, program.args, directory].map((value) => JSON.stringify(value)).join(", ");
    return original(["-c", `${STARTER}\n_start(${given})`]);
  }),
);

/** Null for what is not a program to run. */
async function programOf(args: string[], context: CommandContext): Promise<Program | null> {
  const { cwd, fs } = context;
  const [first, second] = args;
  if (first === "-c" || first === "-m") {
    if (second === undefined) return null;
    return { kind: first === "-c" ? "code" : "module", target: second, args: args.slice(2), directory: cwd };
  }
  if (first === undefined && latin1FromBytes(context.stdin).trim() === "") return null;
  if (first === undefined || first === "-") {
    return { kind: "stdin", target: first ?? "", args: args.slice(1), directory: cwd };
  }
  const [target, ...rest] = first === "--" ? args.slice(1) : args;
  if (target === undefined || (first.startsWith("-") && first !== "--")) return null;
  const path = fs.resolvePath(cwd, target);
  const stat = await fs.stat(path).catch(() => null);
  if (stat?.isFile !== true) return null;
  return { kind: "file", target, args: rest, directory: posix.dirname(await fs.realpath(path)) };
}
