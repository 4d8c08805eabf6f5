/** The network of unrestricted sandboxes: a bridge of our own on which containers do not reach each other. */
import { createHash } from "node:crypto";
import type Dockerode from "dockerode";
import { SandboxLost } from "../../../port.ts";
import { EngineError, engineCall, LOOK_MS, WORK_MS } from "../../container/engine_call.ts";

const BRIDGE = "com.docker.network.bridge.name";
const ICC = "com.docker.network.bridge.enable_icc";

export interface Bridge {
  name: string;
  /** Ranges of this network: its gateway, which is the engine's machine, and its other containers. */
  subnets: string[];
}

/**
 * Finds or makes the network of this installation. Rejects with SandboxLost when it cannot be had, or one of its name
 * lets containers reach each other.
 */
export async function bridgeNetwork(docker: Dockerode, install: string): Promise<Bridge> {
  const name = `longhaul-${install}`;
  return (await inspected(docker, name)) ?? (await made(docker, name, install));
}

async function made(docker: Dockerode, name: string, install: string): Promise<Bridge> {
  try {
    await engineCall(docker, "make the network for unrestricted sandboxes", WORK_MS, (abortSignal) =>
      docker.createNetwork({
        Name: name,
        Driver: "bridge",
        CheckDuplicate: true,
        EnableIPv6: false,
        Options: { [ICC]: "false", [BRIDGE]: bridgeName(install) },
        Labels: { "longhaul.install": install },
        abortSignal,
      }),
    );
  } catch (error) {
    const other = error instanceof EngineError ? await inspected(docker, name) : null;
    // Another session made it in the same moment.
    if (other !== null) return other;
    throw error;
  }
  const bridge = await inspected(docker, name);
  if (bridge !== null) return bridge;
  throw new SandboxLost(`The network ${name} was removed while it was made. Nothing was started; try again.`);
}

/** Engines take two networks of one name that are made at once, but never two with one bridge. At most 15 characters. */
const bridgeName = (install: string): string => `lh-${createHash("sha256").update(install).digest("hex").slice(0, 11)}`;

async function inspected(docker: Dockerode, name: string): Promise<Bridge | null> {
  const doing = "look up the network for unrestricted sandboxes";
  try {
    return checked(name, await engineCall(docker, doing, LOOK_MS, () => docker.getNetwork(name).inspect()));
  } catch (error) {
    if (error instanceof EngineError && error.fault.status === 404) return null;
    throw error;
  }
}

function checked(name: string, found: Dockerode.NetworkInspectInfo): Bridge {
  if (found.Driver !== "bridge" || found.Options?.[ICC] !== "false") {
    throw new SandboxLost(
      `The network ${name} is not as Longhaul makes it: it must be a bridge with ${ICC}=false, so that sandboxes cannot reach each other. Nothing was started. Remove that network; it is made again.`,
    );
  }
  const subnets = (found.IPAM?.Config ?? []).flatMap(({ Subnet }) => (Subnet === undefined ? [] : [Subnet]));
  return { name, subnets: subnets.filter((subnet) => /^[\d./]+$/.test(subnet)) };
}
