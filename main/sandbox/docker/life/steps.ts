/** Steps of making a sandbox: each is told with its duration, and an error names the step that failed. */
import { type ProvisionRequest, SandboxLost } from "../../port.ts";

export type OnStep = ProvisionRequest["onStep"];

/** Rejects with SandboxLost whose `cause` is what `work` rejected with. */
export async function step<T>(onStep: OnStep, name: string, work: () => Promise<T>): Promise<T> {
  return namedStep(onStep, name, work, () => name);
}

/** For a step whose result says what it did. */
export async function namedStep<T>(
  onStep: OnStep,
  name: string,
  work: () => Promise<T>,
  nameOf: (result: T) => string,
): Promise<T> {
  const started = performance.now();
  const took = (): number => Math.round(performance.now() - started);
  try {
    const result = await work();
    onStep({ step: nameOf(result), duration_ms: took(), error: null });
    return result;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    onStep({ step: name, duration_ms: took(), error: reason });
    throw new SandboxLost(`The sandbox could not be made ready at the step "${name}". ${reason}`, { cause: error });
  }
}
