/** The key of prints, from the launch secret: broker and engine each derive it, and it is the same after a restart of either. */
import { createHmac } from "node:crypto";
import type { PrintKey } from "../../contract/secrets/prints.ts";

export function printKey(launchSecret: string): PrintKey {
  const words = Buffer.concat(
    Array.from({ length: 32 }, (_, part) =>
      createHmac("sha256", launchSecret).update(`longhaul.prints.${part}`).digest(),
    ),
  );
  const windows = Int32Array.from({ length: 256 }, (_, index) => words.readInt32LE(4 * index));
  const macKey = createHmac("sha256", launchSecret).update("longhaul.prints.mac").digest();
  return { windows, mac: (text) => createHmac("sha256", macKey).update(text).digest("hex").slice(0, 32) };
}
