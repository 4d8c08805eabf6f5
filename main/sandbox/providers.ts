/** The choice between containers and the embedded sandbox, made when a session first needs its sandbox. */
import type { SandboxProviders } from "./choice.ts";
import type { SandboxKind, SandboxLost, SandboxProvider } from "./port.ts";

export interface ProviderSources {
  /** What LONGHAUL_SANDBOX or `--sandbox` demands; it wins over what environments ask for. */
  forced: SandboxKind | null;
  embedded: SandboxProvider;
  /** Makes the provider of containers; called at most once, when it is first needed. Contacts nothing by itself. */
  docker: () => SandboxProvider;
  /** Null when a container engine answers, else why none does, as the text of a tool error. */
  engineAnswers: () => Promise<SandboxLost | null>;
}

/**
 * A session's first sandbox is made by what is forced, else by what its environment asks for, else by containers where an
 * engine answers, else embedded. Later ones are made where the first one's files are.
 */
export function sandboxProviders(sources: ProviderSources): SandboxProviders & { close(): Promise<void> } {
  let made: SandboxProvider | null = null;
  const docker = (): SandboxProvider => {
    made ??= sources.docker();
    return made;
  };
  return {
    choose: async (asked) => {
      const wanted = sources.forced ?? asked;
      if (wanted === "embedded") return sources.embedded;
      const problem = await sources.engineAnswers();
      if (problem === null) return docker();
      if (wanted === "docker") throw problem;
      return sources.embedded;
    },
    instead: (asked) => ((sources.forced ?? asked) === null ? sources.embedded : null),
    of: (kind) => (kind === "docker" ? docker() : sources.embedded),
    close: async () => {
      const closed = await Promise.allSettled([sources.embedded.close(), made?.close()]);
      const failed = closed.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    },
  };
}
