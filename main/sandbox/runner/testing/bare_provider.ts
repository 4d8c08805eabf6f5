/** As little of a provider as the parts of the conformance suite need: a container a session, a channel when one is needed. */
import {
  type CallState,
  type ExecuteCall,
  type Hand,
  type ProvisionRequest,
  type ProvisionResult,
  SandboxLost,
  type SandboxProvider,
} from "../../port.ts";
import { type Bench, type Fields, provisionRequest, runTool, type SandboxUnderTest } from "../../testing/bench.ts";
import { RunnerCalls } from "../calls.ts";
import { ChannelClosed, type RunnerClient } from "../client.ts";
import { RunnerContainer } from "./containers.ts";

interface Channel {
  client: RunnerClient;
  calls: RunnerCalls;
}

/** A session's container as one provider object reaches it; opens a channel again when one was cut. */
export class BareHand implements Hand {
  readonly #container: RunnerContainer;
  #channel: Promise<Channel> | null = null;

  constructor(container: RunnerContainer) {
    this.#container = container;
  }

  async execute(name: string, input: unknown, call: ExecuteCall): Promise<string> {
    const progress = { bytes: 0 };
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const { calls } = await this.channel();
      try {
        return await calls.execute(name, input, call, progress);
      } catch (error) {
        if (!(error instanceof ChannelClosed)) throw error;
      }
    }
    throw new SandboxLost("the channel is cut again and again");
  }

  async state(id: string): Promise<CallState> {
    return (await this.channel()).calls.state(id);
  }

  async channel(): Promise<Channel> {
    const before = this.#channel;
    const known = await before?.catch(() => null);
    if (known != null && !known.client.closed) return known;
    if (this.#channel === before) this.#channel = this.#open();
    return this.#channel ?? this.#open();
  }

  async #open(): Promise<Channel> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#container.start();
        const client = await this.#container.channel();
        return { client, calls: new RunnerCalls(client) };
      } catch (error) {
        // A container that is being killed is seen to run for a moment, but nothing can be started in it.
        if (attempt === 5) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  async close(): Promise<void> {
    (await this.#channel?.catch(() => null))?.client.close();
  }
}

class BareProvider {
  readonly #containers: Map<string, Promise<RunnerContainer>>;
  readonly #image: string;
  readonly #hands = new Map<string, BareHand>();

  constructor(image: string, containers: Map<string, Promise<RunnerContainer>>) {
    this.#image = image;
    this.#containers = containers;
  }

  async provision({ session_id }: Pick<ProvisionRequest, "session_id">): Promise<ProvisionResult> {
    const found = this.#containers.get(session_id);
    const container = found ?? RunnerContainer.create(this.#image);
    this.#containers.set(session_id, container);
    const hand = this.#hands.get(session_id) ?? new BareHand(await container);
    this.#hands.set(session_id, hand);
    return { hand, adopted: found !== undefined, how: "adopted", notice: null };
  }

  async callState(sessionId: string, id: string): Promise<CallState> {
    await this.provision({ session_id: sessionId });
    return this.#hands.get(sessionId)?.state(id) ?? "unknown";
  }

  async destroy(sessionId: string): Promise<void> {
    const container = this.#containers.get(sessionId);
    this.#containers.delete(sessionId);
    await (await container)?.remove();
  }

  async close(): Promise<void> {
    for (const hand of this.#hands.values()) await hand.close();
  }
}

/** A bench of the suite on containers of an image, and what frees it. */
export async function bareBench(image: string): Promise<Bench & { container: RunnerContainer; end(): Promise<void> }> {
  const containers = new Map<string, Promise<RunnerContainer>>();
  const open = (): SandboxProvider => new BareProvider(image, containers) as unknown as SandboxProvider;
  const session = "sesn_runner";
  const provider = open();
  const { hand } = await provider.provision(provisionRequest(session));
  const container = await containers.get(session);
  if (container === undefined) throw new Error("no container was made");
  const subject: SandboxUnderTest = {
    open,
    kill: async (sessionId) => (await containers.get(sessionId))?.kill(),
    tearDown: async () => undefined,
  };
  return {
    subject,
    provider,
    hand,
    session,
    container,
    bash: (command: string, more: Fields = {}) => runTool(hand, "bash", { command, ...more }),
    end: async () => {
      await provider.close();
      for (const made of containers.values()) await (await made).remove();
    },
  };
}
