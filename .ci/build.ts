/**
 * Builds the product into `out/`: `main/` (engine, broker, sandbox host, command line), `renderer/` and `electron/`.
 * Run by `main/launch.mjs` with the stamp to leave behind; everything that runs as the product runs from here.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import tailwind from "@tailwindcss/vite";
import { build, type InlineConfig } from "vite";

const root = join(import.meta.dirname, "..");

/** Entry name → source. The names are fixed: built code finds its siblings by them. */
const MAIN_ENTRIES = {
  cli: "main/cli.ts",
  serve: "main/serve.ts",
  broker: "main/vault/serve.ts",
  sandbox_host: "main/sandbox/embedded/host.ts",
};

/** Loaded from `node_modules` at run time: native code, or packages that find their own wasm, worker and proto files by path. */
const EXTERNAL = ["@napi-rs/keyring", "better-sqlite3", "dockerode", "just-bash", "electron"];

const DAY_MS = 86_400_000;

function nodeBuild(outDir: string, entries: Record<string, string>, format: "es" | "cjs"): InlineConfig {
  return {
    configFile: false,
    root,
    logLevel: "warn",
    publicDir: false,
    // `production` lets bundled packages drop their development branches.
    define: { "process.env.NODE_ENV": JSON.stringify("production") },
    ssr: { noExternal: true, external: EXTERNAL },
    build: {
      ssr: true,
      emptyOutDir: false,
      outDir,
      target: "node22",
      minify: false,
      reportCompressedSize: false,
      rolldownOptions: {
        input: entries,
        // Packages with an optional native part do without it: it is not found from the bundle, which they expect.
        external: (id) => isBuiltin(id) || EXTERNAL.includes(id) || id.endsWith(".node"),
        output: {
          format,
          entryFileNames: format === "es" ? "[name].js" : "[name].cjs",
          // Beside the entries, so that `import.meta.url` of shared code names the folder where the entries are.
          chunkFileNames: "chunk-[name]-[hash].js",
        },
      },
    },
  };
}

function rendererBuild(outDir: string): InlineConfig {
  return {
    configFile: false,
    root: join(root, "renderer"),
    base: "./",
    logLevel: "warn",
    plugins: [tailwind()],
    build: {
      outDir,
      emptyOutDir: false,
      target: "chrome140",
      reportCompressedSize: false,
      chunkSizeWarningLimit: 4096,
    },
  };
}

/** Every file under `folder`, as paths relative to it. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

/**
 * Moves a finished build over the former one, file by file, entries last: a process that runs from the former build
 * still finds its chunks, and nobody ever sees a half-written file. Files of older builds go after a day.
 */
function publish(fresh: string, out: string): void {
  const files = filesIn(fresh).sort((a, b) => Number(isEntry(a)) - Number(isEntry(b)));
  for (const file of files) {
    mkdirSync(dirname(join(out, file)), { recursive: true });
    renameSync(join(fresh, file), join(out, file));
  }
  const current = new Set(files);
  for (const folder of ["main", "renderer", "electron"]) {
    for (const name of filesIn(join(out, folder))) {
      const file = join(folder, name);
      const age = Date.now() - statSync(join(out, file)).mtimeMs;
      if (!current.has(file) && age > DAY_MS) rmSync(join(out, file), { force: true });
    }
  }
}

function isEntry(file: string): boolean {
  return !/chunk-|assets/.test(file);
}

/** Builds everything into a folder of its own, then moves it to `out/` and writes the stamp. Throws when the sources do not build. */
async function buildAll(stamp: string): Promise<void> {
  const out = join(root, "out");
  mkdirSync(out, { recursive: true });
  const fresh = join(out, `.build-${process.pid}`);
  try {
    const builds: InlineConfig[] = [
      nodeBuild(join(fresh, "main"), MAIN_ENTRIES, "es"),
      nodeBuild(join(fresh, "electron"), { app: "electron/app.ts" }, "es"),
      // A sandboxed preload is loaded as one CommonJS file.
      nodeBuild(join(fresh, "electron"), { preload: "electron/preload.ts" }, "cjs"),
      rendererBuild(join(fresh, "renderer")),
    ];
    for (const config of builds) await build(config);
    rmSync(join(out, "stamp"), { force: true });
    publish(fresh, out);
    writeFileSync(join(out, "stamp"), stamp);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

try {
  await buildAll(process.argv[2] ?? "");
} catch (error) {
  // The builder's message names file and line; its stack names only the builder.
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
