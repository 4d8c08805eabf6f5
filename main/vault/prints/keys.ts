/** The key of prints, from the launch secret: broker and engine each derive it, and it is the same after a restart of either. */
import { createHmac } from "node:crypto";
import type { PrintKey } from "../../contract/secrets/prints.ts";

export function printKey(launchSecret: string): PrintKey {
  const key = createHmac("sha256", launchSecret).update("longhaul.prints").digest();
  const windows = { factor: (key.readUInt32LE(0) | 1) >>> 0, offset: key.readUInt32LE(4) };
  const macKey = createHmac("sha256", launchSecret).update("longhaul.prints.mac").digest();
  return { windows, mac: (text) => createHmac("sha256", macKey).update(text).digest("hex").slice(0, 32) };
}
