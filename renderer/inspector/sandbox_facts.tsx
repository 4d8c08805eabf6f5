/** What there is to know of a sandbox's making, and of a connection that it asked for. */
import type { ReactNode } from "react";
import type { LonghaulEventOf } from "../../main/contract/events.ts";
import { SandboxBody } from "../desk/rows/sandbox_body.tsx";
import { EgressAdvice } from "../desk/sandbox/egress_advice.tsx";
import { settingOf } from "../desk/sandbox/settings.ts";
import type { Feed } from "../store/feed.ts";
import type { NoticeRow, SandboxRow } from "../timeline/row.ts";
import { usesCount } from "../timeline/sandbox/on_credential.ts";
import { egressCount } from "../timeline/sandbox/on_exchange.ts";
import { sandboxTitle } from "../timeline/sandbox/words.ts";
import { CopyButton } from "../ui/copy.tsx";
import { Facts, Section } from "./section.tsx";

type Common = readonly (readonly [string, ReactNode])[];

const STATES: Record<SandboxRow["state"], string> = {
  provisioning: "being made",
  ready: "ready",
  failed: "could not be had",
  cut_off: "cut off while it was made",
};

const HOW: Record<NonNullable<SandboxRow["how"]>, string> = {
  created: "made anew",
  adopted: "it had stayed alive, with everything that ran in it",
  restarted: "it had stopped: its files are there, what ran in it is not",
  restored: "it had been removed: built again from the last checkpoint of its files",
};

export function SandboxFacts({
  feed,
  row,
  common,
  running,
}: {
  feed: Feed;
  row: SandboxRow;
  common: Common;
  running: boolean;
}) {
  const open = row.state === "provisioning" && !running;
  const image = feed.timeline.fold === null ? "" : settingOf(feed.timeline.fold.environment, "image");
  return (
    <>
      <Facts
        facts={[
          ...common,
          ["Sandbox", sandboxTitle(row.provider)],
          ["State", open ? "not finished, and nobody is making it now" : STATES[row.state]],
          ["How", row.how === null ? null : HOW[row.how]],
          ["Why", row.cause === "replaced" ? "the one before was lost" : null],
          ["Image", row.provider === "docker" ? image || "Longhaul's own" : null],
        ]}
      />
      <Section title="Steps">
        <SandboxBody row={row} progress={running ? feed.live.sandboxProgress : null} />
      </Section>
    </>
  );
}

/** A connection through the egress route. A refusal says what can be done about it. */
export function EgressFacts({
  feed,
  row,
  event,
}: {
  feed: Feed;
  row: NoticeRow;
  event: LonghaulEventOf<"longhaul.egress">;
}) {
  const denied = event.decision === "denied";
  return (
    <>
      <Facts
        facts={[
          ["Host", event.host],
          ["Port", String(event.port)],
          ["Decision", denied ? "refused" : "let through"],
          ["Because", event.reason],
          ["Connections", String(egressCount(feed.timeline, row.seqs))],
        ]}
      />
      {denied && (
        <Section title="What you can do">
          <EgressAdvice environment={feed.timeline.fold?.environment ?? null} host={event.host} />
        </Section>
      )}
    </>
  );
}

/** A use of a stored credential. The value itself is known to the broker alone. */
export function CredentialFacts({
  feed,
  row,
  event,
}: {
  feed: Feed;
  row: NoticeRow;
  event: LonghaulEventOf<"longhaul.credential_used">;
}) {
  const routes = { mcp: "MCP server", git: "git repository", egress: "request from the sandbox" };
  return (
    <Facts
      facts={[
        ["Credential", event.credential_id],
        ["Vault", event.vault_id],
        ["Used for", routes[event.route]],
        ["Host", event.host],
        ["Decision", event.decision === "refused" ? "refused" : "let through"],
        ["Because", event.reason],
        ["Times", String(usesCount(feed.timeline, row.seqs))],
      ]}
    />
  );
}

/** Where the agent's changes went. */
export function BranchFacts({ event }: { event: LonghaulEventOf<"longhaul.changes_brought_back"> }) {
  return (
    <>
      <Facts
        facts={[
          ["Repository", event.path],
          ["Branch", event.branch],
          ["Commit", event.commit],
        ]}
      />
      <Section title="To look at it" aside={<CopyButton text={`git switch ${event.branch}`} />}>
        <code className="font-mono text-small [overflow-wrap:anywhere]">git switch {event.branch}</code>
      </Section>
    </>
  );
}
