/** Locks and unlocks the keyring of the test run, as its owner would. For Linux and the keyring that the test run started. */
import { execFileSync } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";

const COLLECTION = "/org/freedesktop/secrets/collection/login";
/** With which the test run makes it. */
const PASSWORD = "pw\n";
const UNLOCK = 1;

export function lockKeyring(): void {
  const service = ["--session", "--print-reply", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets"];
  const method = ["org.freedesktop.Secret.Service.Lock", `array:objpath:${COLLECTION}`];
  execFileSync("dbus-send", [...service, ...method], { stdio: "pipe" });
}

/** Types the password where the login screen would: the daemon's control socket. No prompt is shown. */
export async function unlockKeyring(): Promise<void> {
  const path = join(process.env["XDG_RUNTIME_DIR"] ?? "", "keyring", "control");
  const password = Buffer.from(PASSWORD);
  const head = Buffer.alloc(12);
  head.writeUInt32BE(head.length + password.length, 0);
  head.writeUInt32BE(UNLOCK, 4);
  head.writeUInt32BE(password.length, 8);
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const socket = connect(path, () => socket.write(Buffer.concat([Buffer.from([0]), head, password])));
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 8) return;
      socket.end();
      resolve(received);
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("The keyring's daemon closed the connection.")));
  });
  if (answer.readUInt32BE(4) !== 0) throw new Error(`The keyring was not unlocked (${answer.readUInt32BE(4)}).`);
}
