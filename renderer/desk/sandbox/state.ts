/** The state of a session's sandbox in words. */
import type { SessionFold } from "../../../main/contract/fold.ts";

import { isHosted } from "./settings.ts";

export interface SandboxStateText {
  text: string;
  /** What that means, in a sentence. */
  meaning: string;
  look: string;
}

const FILES_STAY: Record<string, string> = {
  docker: "A Linux container of its own. Its files stay in it while the engine is away; what runs in it goes on.",
  embedded:
    "A shell on a folder of its own, with Python and JavaScript. No compilers, no git, no network, and no wall like a container's.",
};

/** The sandbox as it is now. `running`: the engine works on the session; only then is anything being made. */
export function sandboxState(fold: SessionFold, running: boolean): SandboxStateText {
  const { sandbox } = fold;
  if (isHosted(fold)) {
    return {
      text: "self-hosted",
      meaning: "Its calls run on the machine of whoever polls the environment with its key.",
      look: "text-ink-2",
    };
  }
  if (sandbox === null) {
    return { text: "not made yet", meaning: "It is made when the agent first needs it.", look: "text-ink-2" };
  }
  if (sandbox.state === "ready") {
    const meaning = FILES_STAY[sandbox.provider] ?? "";
    return { text: "ready", meaning, look: "text-sandbox" };
  }
  if (sandbox.state === "provisioning") {
    return running
      ? { text: "being made", meaning: "The timeline shows each step as it ends.", look: "text-sandbox" }
      : {
          text: "not finished",
          meaning: "Nobody is making it now. The next call goes on with it.",
          look: "text-ink-2",
        };
  }
  return sandbox.made
    ? { text: "gone", meaning: "The next call that needs it starts it again, or builds a new one.", look: "text-bad" }
    : {
        text: "could not be made",
        meaning: "The timeline says why. The next call that needs it tries again.",
        look: "text-bad",
      };
}
