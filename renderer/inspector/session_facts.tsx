import { runningMs, sessionNanos } from "../../main/contract/cost/cost.ts";
import type { SessionFold } from "../../main/contract/fold.ts";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { networkText, ranUntil, sandboxText } from "../desk/facts.tsx";
import { inputTokens } from "../desk/rows/cells.ts";
import { isHosted } from "../desk/sandbox/settings.ts";
import { sandboxState } from "../desk/sandbox/state.ts";
import { cents, duration, money, percent, plural, tokens } from "../format/numbers.ts";
import { exactTime, millis } from "../format/times.ts";
import type { Feed } from "../store/feed.ts";
import { sandboxTitle } from "../timeline/sandbox/words.ts";
import { CopyButton } from "../ui/copy.tsx";
import { Facts, Section } from "./section.tsx";
import { ToolTable } from "./turn_facts.tsx";

/** At list price, of the budget if there is one; null before anything was spent. */
function costText(fold: SessionFold, at: number): string | null {
  if (fold.cost.unpriced > 0) return "unknown: a model has no price in prices.json";
  const cost = sessionNanos(fold, at);
  const limit = fold.budget === null ? "" : ` of ${cents(fold.budget.max_list_cost.amount)}`;
  return cost === 0 && limit === "" ? null : `${money(cost)}${limit}`;
}

/** Which one it is, and where the agent has it. */
function placeOf(resource: SessionFold["resources"][number]): string {
  const name =
    resource.type === "memory_store" ? resource.name : resource.type === "github_repository" ? resource.url : "";
  return [name ?? "", resource.mount_path ? `at ${resource.mount_path}` : ""].filter((part) => part !== "").join(" ");
}

/** The session as a whole: shown when nothing is selected. */
export function SessionFacts({ feed, summary, running }: { feed: Feed; summary: SessionSummary; running: boolean }) {
  const { fold } = summary;
  const all = inputTokens(fold.usage);
  const at = ranUntil(fold, running);
  const searches = fold.usage.server_tool_use?.web_search_requests ?? 0;
  return (
    <>
      <Facts
        facts={[
          ["Created", exactTime(millis(fold.created_at))],
          ["Ran", duration(runningMs(fold, at))],
          ["Started by", fold.deployment_id === null ? null : `deployment ${fold.deployment_id}`],
          ["Agent", `${fold.agent.name}, version ${fold.agent.version}`],
          ["Model", fold.demo ? `${fold.agent.model.id} (offline demo)` : fold.agent.model.id],
          ["Environment", fold.environment.name],
          ["Can reach", networkText(fold)],
          [
            "Sandbox",
            isHosted(fold)
              ? `none here: calls run ${sandboxText(fold)}`
              : fold.sandbox === null
                ? "none yet: it is made for the first call that needs it"
                : `${sandboxTitle(fold.sandbox.provider)}, ${sandboxState(fold, running).text}`,
          ],
          ["Turns", `${fold.turns}, with ${plural(fold.model_requests, "model request")}`],
          ["Calls", `${fold.tool_calls}, of which ${fold.tool_errors} failed`],
          ["Outcome unknown", fold.outcomes_unknown > 0 ? plural(fold.outcomes_unknown, "call") : null],
          [
            "Input",
            all === 0
              ? null
              : `${tokens(all)} tokens, ${percent(fold.usage.cache_read_input_tokens, all)} from the cache`,
          ],
          ["Output", all === 0 ? null : `${tokens(fold.usage.output_tokens)} tokens`],
          ["Web searches", searches === 0 ? null : searches.toLocaleString("en-US")],
          ["Cost", costText(fold, at)],
          ["Context now", fold.context_tokens === 0 ? null : `${tokens(fold.context_tokens)} tokens`],
          ["Events", fold.last_seq.toLocaleString("en-US")],
        ]}
      />
      {fold.resources.length > 0 && (
        <Section title="Attached">
          <ul className="space-y-1">
            {fold.resources.map((resource, index) => (
              <li key={String(index)} className="[overflow-wrap:anywhere]">
                {resource.type === "local_repository" ? (
                  <>
                    {resource.path}
                    <span className="text-ink-3">
                      {" "}
                      copied to {resource.mount_path}
                      {resource.include_uncommitted ? ", uncommitted work included" : ""}
                    </span>
                  </>
                ) : (
                  <>
                    {resource.type.replaceAll("_", " ")}
                    <span className="text-ink-3"> {placeOf(resource)}</span>
                  </>
                )}
              </li>
            ))}
          </ul>
        </Section>
      )}
      <ToolTable feed={feed} turn={null} />
      <Section title="Session id" aside={<CopyButton text={summary.id} />}>
        <p className="font-mono text-small [overflow-wrap:anywhere]">{summary.id}</p>
      </Section>
    </>
  );
}
