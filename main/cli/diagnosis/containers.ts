/** The container engine: whether one answers, what it is, and what sandboxes can be made with it. Starts nothing. */
import { join } from "node:path";
import type { Environment } from "../../config.ts";
import type { Engine } from "../../sandbox/docker/discovery/connect.ts";
import { type Finding, fail, ok, warn } from "./check.ts";

const EMBEDDED = "the embedded sandbox works here with nothing installed";

/** Findings about sandboxes; the engine is contacted, with a time limit. */
export async function checkSandboxes(env: Environment, dataDir: string): Promise<Finding[]> {
  const forced = env["LONGHAUL_SANDBOX"]?.trim() ?? "";
  if (forced !== "" && forced !== "docker" && forced !== "embedded") {
    return [fail("sandbox", `LONGHAUL_SANDBOX=${forced} is no sandbox`, 'Use "docker" or "embedded", or unset it.')];
  }
  const [{ ENGINE_MEMORY, findEngine, usedEngine }, { EngineUnavailable }] = await Promise.all([
    import("../../sandbox/docker/find_engine.ts"),
    import("../../sandbox/docker/discovery/connect.ts"),
  ]);
  try {
    const engine = await findEngine(env, { used: usedEngine(join(dataDir, ENGINE_MEMORY)) });
    return [ok("sandbox", choice(forced, true)), engineFinding(engine), ...(await details(engine, env))];
  } catch (error) {
    if (!(error instanceof EngineUnavailable)) throw error;
    if (forced === "docker")
      return [fail("sandbox", `LONGHAUL_SANDBOX=docker, and ${lower(error.summary)}`, error.advice)];
    // Nothing installed is a choice; something that is there and does not work is worth a look.
    const engine =
      error.reason === "none" ? ok("docker", error.summary, error.advice) : warn("docker", error.summary, error.advice);
    return [ok("sandbox", choice(forced, false)), engine];
  }
}

function choice(forced: string, answers: boolean): string {
  if (forced === "embedded") return `LONGHAUL_SANDBOX=embedded: ${EMBEDDED}`;
  if (forced === "docker") return "LONGHAUL_SANDBOX=docker: every session gets a container";
  return answers ? "new sessions get a container; their environment may ask for the embedded sandbox" : EMBEDDED;
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function engineFinding(engine: Engine): Finding {
  const { name, version, address, api, cpus, memory, runtimes, default_runtime } = engine;
  const names = runtimes.map((runtime) => (runtime === default_runtime ? `${runtime} (default)` : runtime));
  const size = `${cpus} processors, ${(memory / 1024 ** 3).toFixed(1)} GiB`;
  return ok(
    "docker",
    `${name} ${version} at ${address}, API ${api}, ${size}; runtimes: ${names.join(", ") || "not told"}`,
  );
}

async function details(engine: Engine, env: Environment): Promise<Finding[]> {
  const [{ findImage }, { sandboxRecipe }, { engineCall, LOOK_MS }] = await Promise.all([
    import("../../sandbox/docker/image/base_image.ts"),
    import("../../sandbox/docker/image/sandbox_recipe.ts"),
    import("../../sandbox/docker/container/engine_call.ts"),
  ]);
  try {
    const variable = env["LONGHAUL_SANDBOX_IMAGE"]?.trim() ?? "";
    const image = variable === "" ? (await sandboxRecipe()).image : variable;
    const found = await findImage(engine.docker, image);
    const info = (await engineCall(engine.docker, "describe itself", LOOK_MS, () => engine.docker.info())) as {
      Plugins?: { Network?: string[] | null };
    };
    return [imageFinding(image, found !== null), networkFinding(info.Plugins?.Network ?? null)];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [warn("image", "the sandbox image could not be looked up", reason)];
  }
}

function imageFinding(image: string, there: boolean): Finding {
  if (there) return ok("image", `the sandbox image ${image} is there`);
  return ok(
    "image",
    `the sandbox image ${image} is not there yet`,
    "It is pulled or built when a session first needs it, which takes minutes.",
  );
}

function networkFinding(drivers: readonly string[] | null): Finding {
  const limited = "limited networks work";
  if (drivers === null || drivers.includes("bridge"))
    return ok("network", `${limited}, and unrestricted ones through a bridge`);
  const advice =
    "Environments with unrestricted networking cannot start here; use limited networking, or another engine.";
  return warn("network", `${limited}; the engine has no bridge driver`, advice);
}
