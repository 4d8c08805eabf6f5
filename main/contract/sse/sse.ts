/** Reads server-sent events from bytes that arrive in any pieces. Only `data:` matters here: every frame names its type. */

export class SseParser {
  #decoder = new TextDecoder();
  #rest = "";
  #data: string[] = [];

  /** The `data` of every event that is complete after these bytes, in order. */
  push(bytes: Uint8Array): string[] {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const lines = text.split("\n");
    this.#rest = lines.pop() ?? "";
    const events: string[] = [];
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line === "") {
        if (this.#data.length > 0) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line === "data" || line.startsWith("data:")) {
        this.#data.push(line.slice(5).replace(/^ /, ""));
      }
      // Comments, `event:`, `id:` and `retry:` carry nothing that the frame does not.
    }
    return events;
  }
}
