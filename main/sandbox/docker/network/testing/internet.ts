/** A stand-in for the internet: a broker whose `.test` names lead to a web server of the test, and an engine's way to it. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { EventDraft } from "../../../../contract/events.ts";
import { BrokerEgress } from "../../../../engine/broker/broker_egress.ts";
import { BrokerClient } from "../../../../harness/broker_client.ts";
import { startBroker } from "../../../../vault/broker.ts";
import { systemResolve } from "../../../../vault/egress/resolver.ts";
import type { SandboxNetworksOptions } from "../port.ts";
import { engine, INSTALL } from "./containers.ts";

/** The address that `.test` names have; public in form, and nobody's. */
const SERVER = "203.0.113.200";

export interface Internet {
  options: Omit<SandboxNetworksOptions, "guardImage">;
  egress: BrokerEgress;
  events: Extract<EventDraft, { type: "longhaul.egress" }>[];
  /** Port on which the web server really listens on every address of this machine. */
  serverPort: number;
  close(): Promise<void>;
}

export async function internet(serve: (request: IncomingMessage, response: ServerResponse) => void): Promise<Internet> {
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const serverPort = (server.address() as AddressInfo).port;
  const launch_secret = "ab".repeat(32);
  const broker = await startBroker(
    { type: "boot", launch_secret, model: {}, data_dir: "/nowhere" },
    {
      writeLog: () => undefined,
      egress: {
        resolve: (host) => (host.endsWith(".test") ? Promise.resolve([SERVER]) : systemResolve(host)),
        target: (host, port) => (host === SERVER ? { host: "127.0.0.1", port: serverPort } : { host, port }),
      },
    },
  );
  const client = new BrokerClient(() => ({ url: broker.url, launch_secret }));
  const egress = new BrokerEgress(client);
  const events: Internet["events"] = [];
  return {
    options: {
      docker: engine(),
      install: INSTALL,
      egress,
      tell: (_sessionId, event) => {
        if (event.type === "longhaul.egress") events.push(event);
      },
    },
    egress,
    events,
    serverPort,
    close: async () => {
      client.dropConnections();
      await broker.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
