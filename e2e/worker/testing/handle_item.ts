/** One claimed item in a fresh process, as in a container per session: it holds the item's token and nothing else. */
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ apiKey: null, authToken: null });
await client.beta.environments.work.worker({ workdir: process.env["WORKDIR"] ?? "", maxIdleMs: 400 }).handleItem();
