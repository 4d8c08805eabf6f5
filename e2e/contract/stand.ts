/** What the flows of the contract run on: one served product, a scripted model behind it, and a client of each SDK. */
import type Anthropic from "@anthropic-ai/sdk";
import { expect } from "vitest";
import { contractClient, olderContractClient } from "../../main/api/testing/contract/client.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { type Product, removeDir, serve } from "../product/serve.ts";
import { answer } from "./model_script.ts";

/** One SDK of the two. The older one's client is typed as the newest: its calls are the same but for what flows say. */
export interface Stand {
  product: Product;
  model: ModelServer;
  client: Anthropic;
  older: boolean;
  /** A client of the same SDK with the credential of a worker. */
  withKey(key: string): Anthropic;
}

/** The stand while a test runs; not before. */
export type Use = () => Stand;

export interface Servers {
  product: Product;
  model: ModelServer;
  stop(): Promise<void>;
}

export async function startServers(env: Record<string, string> = {}): Promise<Servers> {
  const model = await startModelServer({ script: answer() });
  const product = await serve({ model, env });
  const stop = async (): Promise<void> => {
    await product.stop();
    await model.close();
    removeDir(product.data_dir);
  };
  return { product, model, stop };
}

export function standFor({ product, model }: Servers, older: boolean): Stand {
  const { url, token } = product;
  const clientOf = (key: string, bearer: boolean): Anthropic =>
    older
      ? (olderContractClient(url, key, "product", bearer) as unknown as Anthropic)
      : contractClient(url, key, { server: "product" });
  return { product, model, client: clientOf(token, false), older, withKey: (key) => clientOf(key, true) };
}

/** What is read of a refusal; the SDKs have an error class each. */
export interface Refusal {
  status: number;
  type: string | null | undefined;
  message: string;
}

/** The call must be refused with this status, and must not be the lack of an endpoint. */
export async function refused(call: PromiseLike<unknown>, status: number): Promise<Refusal> {
  const error = await Promise.resolve(call).then(
    () => new Error(`the call succeeded; it had to be refused with ${status}`),
    (reason: unknown) => reason,
  );
  const refusal = error as Refusal;
  if (typeof refusal.status !== "number") throw error;
  expect(refusal.message).not.toContain("There is no endpoint");
  expect(refusal.status, refusal.message).toBe(status);
  return refusal;
}

/** Reads a list to its end, page by page. */
export async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of list) items.push(item);
  return items;
}

let count = 0;

/** A name that nothing else has. */
export function unique(what: string): string {
  count += 1;
  return `${what} ${process.pid}-${count}`;
}
