/** Changing `client.beta.sessions.resources` of a session that exists. */
import { toFile } from "@anthropic-ai/sdk";
import { describe, expect, test } from "vitest";
import { createSession } from "../../sessions.ts";
import { all, type Use, unique } from "../../stand.ts";

export function resourceChangeFlows(use: Use): void {
  describe("changing session resources", () => {
    const upload = async (text: string) => {
      const file = await toFile(Buffer.from(text), `${unique("file")}.txt`);
      return (await use().client.beta.files.upload({ file })).id;
    };

    test("add and delete a file", async () => {
      const { client } = use();
      const { resources } = client.beta.sessions;
      const { id } = await createSession(client);
      const added = await resources.add(id, { type: "file", file_id: await upload("two"), mount_path: "/b.txt" });
      expect(added).toMatchObject({ type: "file", id: expect.stringMatching(/^sesrsc_/) });
      expect((await all(resources.list(id))).map((resource) => "id" in resource && resource.id)).toEqual([added.id]);
      expect(await resources.delete(added.id, { session_id: id })).toEqual({
        id: added.id,
        type: "session_resource_deleted",
      });
      expect(await all(resources.list(id))).toEqual([]);
    });

    test("update the token of a repository", async () => {
      const { client } = use();
      const { resources } = client.beta.sessions;
      const repository = { type: "github_repository" as const, url: "https://github.com/octocat/Hello-World" };
      const { id } = await createSession(client, { resources: [{ ...repository, authorization_token: "ghp_one" }] });
      const [listed] = await all(resources.list(id));
      if (listed?.type !== "github_repository") throw new Error("the repository is not listed");
      expect(JSON.stringify(listed)).not.toContain("ghp_one");
      const updated = await resources.update(listed.id, { session_id: id, authorization_token: "ghp_two" });
      expect(updated).toMatchObject({ id: listed.id, type: "github_repository" });
      expect(JSON.stringify(updated)).not.toContain("ghp_two");
    });
  });
}
