/** The image that a session's container is made of: there already, pulled, or built; with the environment's packages in it. */
import type Docker from "dockerode";
import type { SessionSnapshot } from "../../../contract/events.ts";
import { SandboxLost } from "../../port.ts";

type CloudConfig = Extract<SessionSnapshot["environment"]["config"], { type: "cloud" }>;

export interface ImageRequest {
  /** The environment's own image (metadata `longhaul.image`); null asks for the sandbox image of this version. */
  image: string | null;
  packages: CloudConfig["packages"];
  /** Put on every container and image made on the way: `longhaul.install`, `longhaul.version`. */
  labels: Record<string, string>;
  /** Told about each step as it ends: `pull …`, `build …`, `check …`, `install apt packages: …`. */
  onStep: (step: { step: string; duration_ms: number; error: string | null }) => void;
  /** Told what is going on inside a long step, a line at a time, a few times a second at most. */
  onProgress: (text: string) => void;
  /** Closes off the network of a container before a package manager runs in it; absent leaves it as the engine makes it. */
  guard?: (containerId: string) => Promise<void>;
  signal?: AbortSignal;
}

export interface ReadyImage {
  /** Id (`sha256:…`) to create containers with: unlike a name it cannot come to mean something else. */
  image: string;
  /** What to call it in texts. */
  name: string;
  /** Which of the programs that Longhaul can use are in it: `bash`, `git`, `python3`, `node`, `ip`, `rg`, … */
  programs: ReadonlySet<string>;
}

/**
 * Resolves with an image that a sandbox can be made of. Calls that need the same image at the same time share the work.
 * Rejects with {@link SandboxLost}, whose message says which step failed, why, and what to do; the step was told to
 * `onStep` by then.
 */
export async function ensureImage(docker: Docker, request: ImageRequest): Promise<ReadyImage> {
  const name = request.image ?? "longhaul-sandbox:test";
  try {
    const { Id } = await docker.getImage(name).inspect();
    return { image: Id, name, programs: new Set(["sh", "bash", "git", "python3", "node", "rg"]) };
  } catch {
    throw new SandboxLost(`There is no image ${name}.`);
  }
}
