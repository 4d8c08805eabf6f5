/** `client.beta.files`, and `client.files` outside of beta. */
import { toFile } from "@anthropic-ai/sdk";
import { describe, expect, test } from "vitest";
import { all, refused, type Use, unique } from "../stand.ts";

export function fileFlows(use: Use): void {
  describe.each(["beta.files", "files"] as const)("client.%s", (namespace) => {
    const files = () => (namespace === "files" ? use().client.files : use().client.beta.files);

    test("upload, metadata, content, list, delete", async () => {
      const name = `${unique("file")}.txt`;
      const made = await files().upload({
        file: await toFile(Buffer.from("three words here"), name, { type: "text/plain" }),
      });
      expect(made).toMatchObject({ filename: name, mime_type: "text/plain", size_bytes: 16, type: "file" });
      expect(await files().retrieveMetadata(made.id)).toEqual(made);
      const content = await files().download(made.id);
      expect(await content.text()).toBe("three words here");
      const other = await files().upload({ file: await toFile(Buffer.from("{}"), `${unique("file")}.json`) });
      const listed = (await all(files().list({ limit: 1 }))).map(({ id }) => id);
      expect(listed.slice(0, 2)).toEqual([other.id, made.id]);
      expect(new Set(listed).size).toBe(listed.length);
      expect(await files().delete(made.id)).toEqual({ id: made.id, type: "file_deleted" });
      await refused(files().retrieveMetadata(made.id), 404);
      expect((await all(files().list())).map(({ id }) => id)).not.toContain(made.id);
    });

    test("refusals", async () => {
      const file = await toFile(Buffer.from("x"), "x.txt");
      const bad = { file, expires_in_seconds: 1 };
      expect((await refused(files().upload(bad), 400)).message).toContain("expires_in_seconds");
      await refused(files().retrieveMetadata("file_none"), 404);
      await refused(files().download("file_none"), 404);
      await refused(files().delete("file_none"), 404);
      expect((await refused(files().list({ limit: 0 }), 400)).message).toContain("limit");
      await refused(files().list({ page: "no cursor" }), 400);
    });
  });
}
