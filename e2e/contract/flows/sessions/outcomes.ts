/** Outcomes that a grader judges, and messages of the system. */
import { describe, expect, test } from "vitest";
import { until } from "../../../product/serve.ts";
import { createSession, eventsOf, message, send, untilEvent, untilIdle } from "../../sessions.ts";
import { refused, type Use } from "../../stand.ts";

/** @param patient also waits for an evaluation that takes long: more than ten seconds */
export function outcomeFlows(use: Use, patient: boolean): void {
  describe("outcomes and system messages", () => {
    test("an outcome is worked on and judged", async () => {
      const { client } = use();
      const { id } = await createSession(client);
      const rubric = { type: "text" as const, content: "The answer greets." };
      const sent = await send(client, id, {
        type: "user.define_outcome",
        description: "Greet.",
        rubric,
        max_iterations: 2,
      });
      expect(sent.data).toMatchObject([{ type: "user.define_outcome", outcome_id: expect.stringMatching(/^outc_/) }]);
      await untilEvent(client, id, "span.outcome_evaluation_start");
      expect((await untilEvent(client, id, "span.outcome_evaluation_end")).result).toBe("satisfied");
      await untilIdle(client, id);
      const evaluations = await until("the evaluation to be written down", async () => {
        const { outcome_evaluations } = await client.beta.sessions.retrieve(id);
        return outcome_evaluations.length > 0 && outcome_evaluations;
      });
      expect(evaluations).toMatchObject([{ description: "Greet.", result: "satisfied" }]);
      await refused(send(client, id, { type: "user.define_outcome", description: "", rubric }), 400);
    });

    if (patient) {
      test("a long evaluation says that it goes on", async () => {
        const { client } = use();
        const { id } = await createSession(client);
        const rubric = { type: "text" as const, content: "The answer greets. SLOWLY." };
        await send(client, id, { type: "user.define_outcome", description: "Greet.", rubric });
        await untilEvent(client, id, "span.outcome_evaluation_ongoing");
        await untilEvent(client, id, "span.outcome_evaluation_end");
      });
    }

    test("a message of the system stands beside the person's", async () => {
      const { client } = use();
      const { id } = await createSession(client);
      const system = { type: "system.message" as const, content: [{ type: "text" as const, text: "It is Monday." }] };
      await send(client, id, message("Which day is it?"), system);
      await untilIdle(client, id);
      expect((await eventsOf(client, id)).map(({ type }) => type)).toContain("system.message");
      await refused(send(client, id, system, message("x")), 400);
    });
  });
}
