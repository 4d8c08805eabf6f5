/** WorkPoller, setupSkills and the session's tool runner put together by hand: serves what is queued, then ends. */
import Anthropic from "@anthropic-ai/sdk";
import { betaAgentToolset20260401, setupSkills } from "@anthropic-ai/sdk/tools/agent-toolset/node";
import { settings } from "./settings.ts";

const { baseURL, environmentId, environmentKey, workdir } = settings();
const client = new Anthropic({ baseURL, apiKey: null, authToken: environmentKey });

for await (const work of client.beta.environments.work.poller({ environmentId, environmentKey, drain: true })) {
  const secret = JSON.parse(Buffer.from(work.secret ?? "", "base64url").toString()) as { sessions_token: string };
  const inside = new Anthropic({ baseURL, apiKey: null, authToken: secret.sessions_token });
  const session = await inside.beta.sessions.retrieve(work.data.id);
  const cleanUp = await setupSkills({ client: inside, session, workdir });
  const tools = betaAgentToolset20260401({ workdir });
  for await (const call of inside.beta.sessions.events.toolRunner(work.data.id, { tools, maxIdleMs: 400 })) {
    process.stdout.write(
      `${JSON.stringify({ name: call.name, posted: call.posted, confirmation: call.confirmation })}\n`,
    );
  }
  await cleanUp();
}
