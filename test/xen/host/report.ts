/** report.md: our daemon and `xl devd`, side by side, of one run. No dates and no machine in it. */
import type { Size } from "./footprint.ts";
import type { Scenario } from "./scenarios.ts";
import { type Spread, spreadOf } from "./statistics.ts";
import { type Result, sampleKey, type Transcript } from "./transcript.ts";

const sides = ["xdevd", "xl"] as const;
/** Sides of the times, and the heads of their columns. */
const timed = {
  xdevd: "xdevd, with scripts",
  xl: "`xl devd`, with scripts",
  minimal: "xdevd without scripts, in the minimal domain",
} as const;
/** Sides of the memory, likewise. */
const weighed = {
  minimal: "xdevd `--with vbd,vif --only devd`",
  xdevd: "xdevd",
  full: "xdevd-full",
  xl: "xl devd",
} as const;

/** Rows of the table of times: the sample's name in the transcript, and what it is. */
const times: readonly [string, string][] = [
  ["file.hotplug", "file disk: to `hotplug-status`=`connected`"],
  ["file.setup", "… from backend state 2 to `connected`: the setup alone"],
  ["file.frontend", "file disk: to frontend state 4"],
  ["vif.hotplug", "vif: to `hotplug-status`=`connected`"],
  ["vif.setup", "… from backend state 2 to `connected`: the setup alone"],
  ["vif.frontend", "vif: to frontend state 4"],
  ["file.gone", "file disk, detach: from state 6 to the directory gone"],
  ["vif.gone", "vif, detach: from state 6 to the directory gone"],
];

const memory: readonly [string, string][] = [
  ["memory.idle", "idle, no device served yet: resident"],
  ["memory.idle.own", "idle, no device served yet: of that not backed by a file"],
  ["memory.idle.all", "idle, no device served yet: all its processes"],
  ["memory.full", "with 20 devices: resident"],
  ["memory.full.own", "with 20 devices: of that not backed by a file"],
  ["memory.full.all", "with 20 devices: all its processes"],
];

/** Writes the whole report. */
export function report(
  scenarios: readonly Scenario[],
  transcript: Transcript,
  sizes: readonly Size[],
): string {
  return [
    "# xdevd and `xl devd` on a real Xen",
    "",
    "Written by `npm run test:xen`: Xen 4.17 and Linux in QEMU without KVM, one boot, driver domains that differ only",
    "in their daemon, all with Debian's own hotplug scripts and QEMU. What each scenario does is in `scenarios/`.",
    "xdevd is the small binary; the full one is tried with one scenario, and its memory measured.",
    "Times are of an emulated processor that takes a nanosecond for each instruction: compare the columns with each",
    "other, not with a real machine.",
    "",
    "## Scenarios",
    "",
    ...table(
      ["scenario", "xdevd", "xl devd"],
      scenarios.map((one) => scenarioRow(one, transcript)),
    ),
    "",
    ...fullResults(transcript),
    ...reasons(scenarios, transcript),
    ...measured(transcript),
    "## What a driver domain ships",
    "",
    "Files, each counted once, of Debian packages; the kernel and what boots the domain not included.",
    "",
    ...table(
      ["", "files", "bytes"],
      sizes.map(({ what, files, bytes }) => [what, String(files), grouped(bytes)]),
    ),
    "",
  ].join("\n");
}

function scenarioRow({ name, title, both }: Scenario, { results }: Transcript): string[] {
  return [
    `${title} (\`${name}\`)`,
    ...sides.map((side) => {
      if (side === "xl" && !both) return "–";
      const result = find(results, side, name);
      return result === undefined ? "not run" : result.passed ? "pass" : "**fail**";
    }),
  ];
}

function fullResults({ results }: Transcript): string[] {
  const lines = results.filter(({ side }) => side === "full").map(({ name, passed, reasons }) =>
    `- ${name}: ${passed ? "pass" : `**fail**: ${reasons.map(plain).join("; ")}`}`
  );
  return lines.length === 0 ? [] : ["With the full binary:", "", ...lines, ""];
}

function reasons(scenarios: readonly Scenario[], { results }: Transcript): string[] {
  const lines = scenarios.flatMap(({ name }) =>
    sides.flatMap((side) => {
      const result = find(results, side, name);
      if (result === undefined || result.passed) return [];
      const daemon = side === "xl" ? "xl devd" : "xdevd";
      return [`- \`${name}\`, ${daemon}: ${result.reasons.map(plain).join("; ")}`];
    })
  );
  return lines.length === 0 ? [] : ["What failed:", "", ...lines, ""];
}

/** Domids and device numbers differ from run to run; they stay, quoted as text. */
function plain(text: string): string {
  return text.replaceAll("|", "\\|");
}

function measured({ samples }: Transcript): string[] {
  const spread = (side: string, name: string) => spreadOf(samples.get(sampleKey(side, name)) ?? []);
  const columns = Object.keys(timed);
  const counts = times.flatMap(([name]) => columns.map((side) => spread(side, name)?.count ?? 0));
  if (Math.max(...counts) === 0) return [];
  return [
    "## Times",
    "",
    "Milliseconds from the toolstack's commit (the backend directory appears): median, in brackets the quartiles and the",
    `least and the most of ${Math.max(...counts)} attachments, the driver domains taking turns.`,
    "",
    ...table(
      ["", ...Object.values(timed)],
      times.map(([name, what]) => [what, ...columns.map((side) => range(spread(side, name)))]),
    ),
    "",
    ...["file", "vif"].map((name) => share(name, spread)),
    "",
    "## Memory of the daemon",
    "",
    "Resident is the daemon's own process, with its pages of files. xdevd has a second process, which asks storage for",
    "it; in the rows of all processes what they share is counted once (PSS).",
    "",
    ...table(
      ["KiB", ...Object.values(weighed)],
      memory.map(([name, what]) => [
        what,
        ...Object.keys(weighed).map((side) => grouped(spread(side, name)?.median)),
      ]),
    ),
    "",
    "## Memory of a minimal driver domain",
    "",
    "The least with which it boots and serves a disk, to 4 MB, found by halving: the image of `npm run minimal-domain`",
    "(kernel, busybox, two backends), with either daemon.",
    "",
    ...table(["", weighed.minimal, weighed.xl], [[
      "MB",
      ...["minimal", "stock"].map((side) => grouped(spread(side, "memory.least")?.median)),
    ]]),
    "",
  ];
}

/** How long the setup takes without scripts, of what it takes the stock daemon with them. */
function share(name: string, spread: (side: string, name: string) => Spread | null): string {
  const [ours, scripted, stock] = ["minimal", "xdevd", "xl"]
    .map((side) => spread(side, `${name}.setup`)?.median ?? NaN) as [number, number, number];
  const percent = (part: number) => `${(100 * part / stock).toFixed(0)} %`;
  const what = name === "file" ? "A file disk" : "A vif";
  return `- ${what} is set up in ${percent(ours)} of \`xl devd\`'s time without scripts, ` +
    `in ${percent(scripted)} with the same scripts.`;
}

function range(spread: Spread | null): string {
  if (spread === null) return "–";
  const [low, high, least, most] = [spread.low, spread.high, spread.least, spread.most]
    .map((value) => value.toFixed(0));
  return `**${spread.median.toFixed(0)}** (${low}–${high}, ${least}–${most})`;
}

function grouped(value: number | undefined): string {
  return value === undefined ? "–" : value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, " ");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}

function find(results: readonly Result[], side: string, name: string): Result | undefined {
  return results.find((result) => result.side === side && result.name === name);
}
