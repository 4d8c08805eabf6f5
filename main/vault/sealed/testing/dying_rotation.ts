/**
 * A process that rotates the key of a data directory and is killed on the way. Arguments: data directory, folder of the
 * keychain, where to (`keychain` or `passphrase`), and at which step to die. Prints the number of steps when it lived.
 */
import { join } from "node:path";
import { MasterKeys } from "../master_keys.ts";
import { SealedFile } from "../sealed_file.ts";
import { SealedStore } from "../sealed_store.ts";
import { folderKeychain } from "./folder_keychain.ts";
import { cheapPassphrase, keychainKeys } from "./keys.ts";

const [dataDir = "", keychainDir = "", to = "", dieAt = "0"] = process.argv.slice(2);
let steps = 0;

/** One more thing is about to happen, or has just happened, to the file or the keychain. */
function step(): void {
  steps += 1;
  if (steps === Number(dieAt)) process.kill(process.pid, "SIGKILL");
}

class DyingFile extends SealedFile {
  override async write(...content: Parameters<SealedFile["write"]>): Promise<void> {
    step();
    await super.write(...content);
    step();
  }
}

const from = process.env["OLD_PASSPHRASE"];
const keychain = keychainKeys({ keychain: folderKeychain(keychainDir, step) });
const sealing = from === undefined ? null : cheapPassphrase(from);
const file = new DyingFile(join(dataDir, "vault", "credentials.json"));
const store = new SealedStore(file, new MasterKeys(keychain, sealing));
const rotated = await store.rotate(to === "keychain" ? keychain : cheapPassphrase(to));
console.log(JSON.stringify({ steps, rotated }));
