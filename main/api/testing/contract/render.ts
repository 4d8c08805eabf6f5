/** The report of the contract as text: columns for a terminal, tables for Markdown. */
import type { EventRow, MethodRow, Report } from "./report.ts";

const MARKS = { supported: "supported", partial: "PARTIAL", none: "NONE" } as const;

/** For a terminal of some 130 columns. */
export function renderText(report: Report): string {
  const versions = Object.keys(report.methods[0]?.sdks ?? {});
  const lines: string[] = [];
  let namespace = "";
  for (const row of report.methods) {
    const [own = "", of] = [
      row.name.slice(row.name.lastIndexOf(".") + 1),
      row.name.slice(0, row.name.lastIndexOf(".")),
    ];
    if (of !== namespace) {
      namespace = of;
      const heads = versions.map((version) => version.padEnd(11)).join("");
      lines.push("", `${`client.${of}`.padEnd(82)}${heads}ok   errors       tests`);
    }
    const states = versions.map((version) => MARKS[row.sdks[version]?.state ?? "none"].padEnd(11)).join("");
    const http = row.http.replace(/\{\w+\}/g, "{}");
    lines.push(
      `  ${own.padEnd(18)}${http.padEnd(62)}${states}${success(row).padEnd(5)}${errors(row).padEnd(13)}${row.tests}`,
    );
  }
  lines.push("", "Event types");
  for (const row of report.events) lines.push(`  ${row.type.padEnd(40)}${eventState(row)}`);
  lines.push("", ...summary(report).map((line) => `${line}`));
  if (report.problems.length > 0) lines.push("", "Missing:", ...report.problems.map((problem) => `  ${problem}`));
  return `${lines.join("\n").trimStart()}\n`;
}

export function renderMarkdown(report: Report): string {
  const versions = Object.keys(report.methods[0]?.sdks ?? {});
  const lines = [
    "# Methods of the official SDK",
    "",
    "Made by `npm run contract` from the tests that ran. Supported: a success and a main error path were seen, and every response fitted the SDK's types.",
    "",
    ...summary(report),
    "",
    `| method | HTTP | ${versions.map((version) => `SDK ${version}`).join(" | ")} | success seen | errors seen | tests |`,
    `|---|---|${versions.map(() => "---|").join("")}---|---|---|`,
  ];
  for (const row of report.methods) {
    const states = versions.map((version) => row.sdks[version]?.state ?? "none").join(" | ");
    lines.push(`| \`${row.name}\` | \`${row.http}\` | ${states} | ${success(row)} | ${errors(row)} | ${row.tests} |`);
  }
  lines.push("", "## Event types", "", "| type | sent |", "|---|---|");
  for (const row of report.events) lines.push(`| \`${row.type}\` | ${eventState(row)} |`);
  if (report.problems.length > 0) lines.push("", "## Missing", "", ...report.problems.map((problem) => `* ${problem}`));
  return `${lines.join("\n")}\n`;
}

/** Share of what is there, in one line each. */
function summary({ methods, events }: Report): string[] {
  const versions = Object.keys(methods[0]?.sdks ?? {});
  const lines = versions.map((version) => {
    const count = methods.filter((row) => row.sdks[version]?.state === "supported").length;
    return `SDK ${version}: ${count} of ${methods.length} methods supported (${((100 * count) / methods.length).toFixed(0)} %).`;
  });
  const wanted = events.filter(({ excuse }) => excuse === null);
  const sent = wanted.filter(({ tests }) => tests > 0).length;
  return [
    ...lines,
    `Event types: ${sent} of ${wanted.length} that this server can send were sent; ${events.length - wanted.length} it cannot.`,
  ];
}

function success(row: MethodRow): string {
  return Object.values(row.sdks).every((seen) => seen.success) ? "yes" : "no";
}

function errors(row: MethodRow): string {
  return [...new Set(Object.values(row.sdks).flatMap((seen) => seen.errors))].sort().join(" ");
}

function eventState({ tests, excuse }: EventRow): string {
  if (tests > 0) return `sent in ${tests} ${tests === 1 ? "test" : "tests"}`;
  return excuse === null ? "NOT SENT" : `cannot be sent: ${excuse}`;
}
