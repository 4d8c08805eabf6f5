/** `client.beta.sessions.resources`. */
import { toFile } from "@anthropic-ai/sdk";
import { describe, expect, test } from "vitest";
import { createSession } from "../../sessions.ts";
import { all, refused, type Use, unique } from "../../stand.ts";

export function sessionResourceFlows(use: Use): void {
  describe("session resources", () => {
    const upload = async (text: string) => {
      const file = await toFile(Buffer.from(text), `${unique("file")}.txt`);
      return (await use().client.beta.files.upload({ file })).id;
    };

    test("list and retrieve what the session was made with", async () => {
      const { client } = use();
      const { resources } = client.beta.sessions;
      const file_id = await upload("one");
      const { id } = await createSession(client, { resources: [{ type: "file", file_id, mount_path: "/a.txt" }] });
      const [listed, ...others] = await all(resources.list(id, { limit: 1 }));
      expect(others).toEqual([]);
      if (listed?.type !== "file") throw new Error("the file is not listed");
      expect(await resources.retrieve(listed.id, { session_id: id })).toEqual(listed);
    });

    test("refusals", async () => {
      const { client } = use();
      const { resources } = client.beta.sessions;
      const { id } = await createSession(client);
      await refused(resources.list("sesn_none"), 404);
      await refused(resources.list(id, { limit: 0 }), 400);
      await refused(resources.retrieve("sesrsc_none", { session_id: id }), 404);
      await refused(resources.add(id, { type: "file", file_id: "file_none" }), 400);
      await refused(resources.update("sesrsc_none", { session_id: id, authorization_token: "x" }), 404);
      await refused(resources.delete("sesrsc_none", { session_id: id }), 404);
    });
  });
}
