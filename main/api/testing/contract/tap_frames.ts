/** Looks at the frames of a server-sent event stream while they pass to the reader, without holding them up. */

/**
 * The response with its body passed through. `seen` gets each complete frame that has data: its name (null for none) and
 * the data. Pings and error frames are the SDK's business and are left out.
 */
export function tapFrames(response: Response, seen: (name: string | null, data: string) => void): Response {
  if (response.body === null) return response;
  const decoder = new TextDecoder();
  let rest = "";
  const tap = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      rest += decoder.decode(chunk, { stream: true });
      const frames = rest.split(/\r?\n\r?\n/);
      rest = frames.pop() ?? "";
      for (const frame of frames) frameSeen(frame, seen);
    },
  });
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(tap), { status, statusText, headers });
}

function frameSeen(frame: string, seen: (name: string | null, data: string) => void): void {
  let name: string | null = null;
  const data: string[] = [];
  for (const line of frame.split(/\r?\n/)) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  if (data.length > 0 && name !== "ping" && name !== "error") seen(name, data.join("\n"));
}
