/** The lifecycle's diagram, made from its table. Pure. */
import { DEFAULT_TIMES } from "../xen/times.ts";
import { type Effect, INITIAL, type LifecycleEvent, type LifecycleRules } from "./state.ts";
import type { LifecycleState, Phase } from "./state.ts";
import { type Row, TABLE, TIMERS } from "./table.ts";

/** One row, as one reads it. */
export interface Rule {
  readonly from: Phase;
  readonly to: Phase;
  readonly on: string;
  readonly when: readonly string[];
  /** Names of what is done, in order; timers and reports are left out. */
  readonly effects: readonly string[];
  /** How loudly a person is told, if it is a failure or worth a warning. */
  readonly tells?: "warning" | "error";
}

const RULES: LifecycleRules = {
  times: DEFAULT_TIMES,
  waitsForBackend: true,
  servedByQemu: false,
  removesWithoutDirectory: false,
};

/** All rows, one for each phase that they start from, in the table's order. */
export function rulesOf(table: readonly Row[] = TABLE): Rule[] {
  return table.flatMap((row) =>
    row.from.map((from): Rule => ({
      from,
      to: row.to ?? from,
      on: row.on,
      when: row.when ?? [],
      effects: effectsOf(row),
      ...toldBy(row),
    }))
  );
}

/** An event and a state that a row may meet. */
function occasion(row: Row): { event: LifecycleEvent; state: LifecycleState } {
  const event = { type: row.on, error: "…" } as LifecycleEvent;
  return { event, state: { ...INITIAL, phase: row.from[0]! } };
}

function toldBy(row: Row): Pick<Rule, "tells"> {
  const { state, event } = occasion(row);
  const told = row.tells?.(state, event, RULES);
  return told === undefined ? {} : { tells: told.level };
}

/** What a row does depends on nothing but the row. */
function effectsOf(row: Row): string[] {
  const { state, event } = occasion(row);
  return (row.effects?.(state, event, RULES) ?? []).flatMap(nameOf);
}

function nameOf(effect: Effect): string[] {
  if (effect.do === "start-timer") return [];
  if (effect.do === "report") return [];
  return [effect.do === "note" ? `note ${effect.stage}` : effect.do];
}

/** The phases, in the order in which a device comes by them. */
export const PHASES = Object.keys(TIMERS) as Phase[];

/** What leads from one state to another. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly labels: readonly string[];
}

/** One edge for each pair of states, with the labels of all that leads from one to the other. */
export function edgesBetween(
  steps: Iterable<{ readonly from: string; readonly to: string; readonly label: string }>,
): Edge[] {
  const edges = new Map<string, { from: string; to: string; labels: string[] }>();
  for (const { from, to, label } of steps) {
    const key = `${from} ${to}`;
    const edge = edges.get(key) ?? { from, to, labels: [] };
    if (!edge.labels.includes(label)) edge.labels.push(label);
    edges.set(key, edge);
  }
  return [...edges.values()];
}

/** Rows that stay where they are and do nothing are left out. */
function edgesOf(table: readonly Row[]): Edge[] {
  return edgesBetween(
    rulesOf(table).flatMap(({ from, to, on, when, effects }) => {
      if (from === to && effects.length === 0) return [];
      const guard = when.length === 0 ? "" : ` [${when.join(", ")}]`;
      const done = effects.length === 0 ? "" : ` / ${effects.join(", ")}`;
      return [{ from, to, label: `${on}${guard}${done}` }];
    }),
  );
}

/** As Mermaid's state diagram, for documents that are shown with it. */
export function toMermaid(table: readonly Row[] = TABLE): string {
  return mermaidOf([
    { from: "[*]", to: "absent", labels: [] },
    { from: "[*]", to: "recovering", labels: ["in the journal"] },
    ...edgesOf(table),
  ]);
}

/** Mermaid's state diagram of some edges. */
export function mermaidOf(edges: readonly Edge[]): string {
  const lines = edges.map(({ from, to, labels }) => {
    // Colons and line ends have a meaning of their own; hyphens are none of its.
    const text = labels.join("<br/>").replaceAll(":", "꞉");
    return `  ${from.replaceAll("-", "_")} --> ${to.replaceAll("-", "_")}${text && ` : ${text}`}`;
  });
  return `${["stateDiagram-v2", ...lines].join("\n")}\n`;
}

/**
 * As Graphviz's dot. The font is a wide one whose widths Graphviz knows without having it: for
 * "sans-serif" it takes those of Times, and labels overlap or are cut off.
 */
export function toDot(table: readonly Row[] = TABLE): string {
  const quote = (text: string) => `"${text.replace(/["\\]/g, "\\$&")}"`;
  const lines = [
    "digraph lifecycle {",
    "  rankdir=TB;",
    '  node [shape=box, style="rounded,filled", fillcolor="#eef3f8", fontname="Verdana"];',
    '  edge [fontname="Verdana", fontsize=9];',
    '  start [shape=point]; journal [shape=plaintext, style="", label="in the journal"];',
    "  start -> absent;",
    "  journal -> recovering;",
    ...PHASES.map((phase) => `  ${quote(phase)};`),
  ];
  for (const { from, to, labels } of edgesOf(table)) {
    const text = labels.map((label) => `${quote(label).slice(1, -1)}\\l`).join("");
    lines.push(`  ${quote(from)} -> ${quote(to)} [label="${text}"];`);
  }
  lines.push("}");
  return `${lines.join("\n")}\n`;
}
