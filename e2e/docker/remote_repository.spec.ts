/** A repository on a git server: cloned with a token that no sandbox sees, pushed to when a person says so. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EventOf, LonghaulEventOf, LonghaulEventType, StoredEvent } from "../../main/contract/events.ts";
import { type GitServer, gitServer } from "../../main/vault/git/testing/git_server.ts";
import type { Reply, ScriptRequest } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { type Product, removeDir, until } from "../product/serve.ts";
import { createSession, eventsOf, finalMessage, summaryOf, untilRests } from "../product/sessions.ts";
import { containerOf, docker, fileIn, removeInstall, serveOnDocker } from "./product.ts";

const TOKEN = "ghp_canaryOfTheRemoteRepository17";
const WORK =
  "cd /workspace/name && echo work > w.txt && git add . && git commit -qm 'Work of the agent' && git push 2>&1";
let server: GitServer;
let model: ModelServer;
let product: Product;

/** Works and pushes, and does again what a person has approved; looks into the repository when told to. */
function script({ lastText, results }: ScriptRequest): Reply {
  const bash = (command: string): Reply => ({ content: [{ type: "tool_use", name: "bash", input: { command } }] });
  const said = (text: string): Reply => ({ content: [{ type: "text", text }] });
  const [result] = results.values();
  // The broker is being restarted when it says so.
  if (result?.text.includes("credential broker")) return bash("sleep 1; cd /workspace/name && git push 2>&1");
  if (result !== undefined) return said(result.text);
  if (lastText.includes("I approved")) return bash("cd /workspace/name && git push 2>&1");
  return lastText.includes("Look") ? bash("cat /workspace/name/a.txt") : bash(WORK);
}

beforeAll(async () => {
  server = await gitServer();
  server.make("owner/name");
  server.accounts = [`x-access-token:${TOKEN}`];
  model = await startModelServer({ script });
  product = await serveOnDocker({ model, env: { LONGHAUL_VAULT_PASSPHRASE: "a passphrase of the tests" } });
});
afterAll(async () => {
  await product.stop();
  await removeInstall(product.data_dir);
  await model.close();
  await server.close();
  removeDir(product.data_dir);
});

const attached = (authorization_token: string) => [
  { type: "github_repository", url: `${server.url}/owner/name`, authorization_token },
];
const of = <T extends LonghaulEventType>(events: readonly StoredEvent[], type: T) =>
  events.flatMap(({ event }) => (event.type === type ? [event as LonghaulEventOf<T>] : []));
const say = (id: string, text: string) =>
  product.client.beta.sessions.events.send(id, {
    events: [{ type: "user.message", content: [{ type: "text", text }] }],
  });

test("cloned, worked on, and pushed once a person has said yes; a killed broker in between changes nothing", async () => {
  const id = await createSession(product, { text: "Do the work.", resources: attached(TOKEN) });
  const branch = `refs/heads/longhaul/${id}`;
  await untilRests(product, id);
  expect(finalMessage(await eventsOf(product, id))).toContain("This push waits for a person's approval");
  expect(server.git("owner/name", "for-each-ref", branch)).toBe("");
  const [asked] = of(await eventsOf(product, id), "longhaul.push_requested");
  expect(asked).toMatchObject({ branch, commits: [{ subject: "Work of the agent" }] });

  process.kill(product.broker_pid, "SIGKILL");
  const answer = { method: "POST", body: JSON.stringify({ result: "allow" }) };
  await product.local(`/sessions/${id}/pushes/${asked?.request_id}`, answer);
  await until("the push to be told", async () => {
    const events = await eventsOf(product, id);
    return of(events, "longhaul.pushed").length > 0 ? events : null;
  });
  await untilRests(product, id);
  expect(server.git("owner/name", "rev-parse", branch)).toBe(asked?.new);
  expect((await summaryOf(product, id)).fold.pushes).toEqual([]);

  const container = await containerOf(id);
  const seen = await docker("inspect", container);
  const inside = await fileIn(id, "/etc/gitconfig");
  const ours = await fileIn(id, "/var/lib/longhaul-resources/gitconfig");
  expect(inside).toContain("/var/lib/longhaul-resources/gitconfig");
  expect(ours).toContain(`${server.url}/owner/name`);
  for (const text of [seen, inside, ours, JSON.stringify(await eventsOf(product, id)), product.stderr()]) {
    expect(text).not.toContain(TOKEN);
    expect(text).not.toContain(Buffer.from(`x-access-token:${TOKEN}`).toString("base64"));
  }
});

test("a wrong token is told as such, and the next turn has the repository once it is right", async () => {
  const id = await createSession(product, { text: "Look.", resources: attached("ghp_wrong") });
  await untilRests(product, id);
  const events = await eventsOf(product, id);
  expect(finalMessage(events)).toMatch(/An attached repository is missing[\s\S]*does not take the token/);
  const errors = events.flatMap(({ event }) =>
    event.type === "session.error" ? [event as EventOf<"session.error">] : [],
  );
  expect(errors.map(({ error }) => error)).toMatchObject([
    { type: "repository_authentication_error", repository_url: `${server.url}/owner/name` },
  ]);
  const { data } = await product.client.beta.sessions.resources.list(id);
  const [resource] = data;
  if (resource === undefined || !("id" in resource)) throw new Error("no resource");
  await product.client.beta.sessions.resources.update(resource.id, { session_id: id, authorization_token: TOKEN });
  await say(id, "Look again.");
  await untilRests(product, id);
  expect(finalMessage(await eventsOf(product, id))).toBe("one");
});
