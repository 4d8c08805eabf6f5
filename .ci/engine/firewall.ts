/**
 * Packet filter rules around the test engine. A starting dockerd empties the chains that all dockerds of a machine share,
 * and a stopped one leaves its rules: both are put right here, so that tests leave the machine as it was.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const COMMANDS = ["iptables", "ip6tables"] as const;
const TABLES = ["filter", "nat"] as const;
const FORWARDING = "/proc/sys/net/ipv4/ip_forward";

type Rules = Map<string, string[]>;

/** What there was before the engine started. */
export interface Firewall {
  rules: Rules;
  forwarding: string;
}

function run(command: string, args: string[]): string {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8", timeout: 20_000 });
  return status === 0 ? stdout : "";
}

/** Every rule and policy, by command and table, in the words that put it there. */
function readRules(): Rules {
  const rules: Rules = new Map();
  for (const command of COMMANDS) {
    for (const table of TABLES) rules.set(`${command} ${table}`, run(command, ["-w", "-t", table, "-S"]).split("\n"));
  }
  return rules;
}

export function readFirewall(): Firewall {
  return { rules: readRules(), forwarding: readFileSync(FORWARDING, "utf8").trim() };
}

/** The words of a rule; comments in it may be quoted. */
function words(rule: string): string[] {
  return (rule.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"|"$/g, ""));
}

/** Rules in Docker's own chains that were there before and are not now, in the order in which to insert each at the top. */
export function lostRules(before: Rules, now: Rules): { command: string; table: string; rule: string }[] {
  return [...before].flatMap(([key, rules]) => {
    const [command = "", table = ""] = key.split(" ");
    const there = new Set(now.get(key));
    return rules
      .filter((rule) => /^-A DOCKER/.test(rule) && !/-j RETURN$/.test(rule) && !there.has(rule))
      .reverse()
      .map((rule) => ({ command, table, rule }));
  });
}

/** Puts back what the engine's start took from other dockerds. */
export function restoreOthers({ rules }: Firewall): void {
  for (const { command, table, rule } of lostRules(rules, readRules())) {
    run(command, ["-w", "-t", table, ...words(rule.replace(/^-A/, "-I"))]);
  }
}

/** Takes away every rule that names one of `mine` (bridges), those of a run that was killed too. */
export function removeOwn(before: Firewall, mine: readonly string[], alone: boolean): void {
  for (const [key, rules] of readRules()) {
    const [command = "", table = ""] = key.split(" ");
    const known = new Set(before.rules.get(key));
    for (const rule of rules) {
      const own = words(rule).some((word) => mine.includes(word));
      if (rule.startsWith("-A ") && own) run(command, ["-w", "-t", table, "-D", ...words(rule).slice(1)]);
    }
    // dockerd also closes forwarding for everything else; while another one runs it is that one's affair.
    if (alone && table === "filter" && known.has("-P FORWARD ACCEPT")) run(command, ["-w", "-P", "FORWARD", "ACCEPT"]);
  }
  if (alone && before.forwarding === "0") writeFileSync(FORWARDING, "0\n");
}
