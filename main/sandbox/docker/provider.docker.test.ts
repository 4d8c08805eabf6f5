import { sandboxSuite } from "../sandbox_suite.ts";
import { newInstall } from "./testing/install.ts";

sandboxSuite("docker", async () => {
  const install = await newInstall();
  return {
    open: () => install.open(),
    kill: (sessionId) => install.kill(sessionId),
    tearDown: () => install.remove(),
  };
});
