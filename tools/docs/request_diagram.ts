/** The request protocol's diagrams, made from its tables. Pure. */
import {
  DRIVER_TABLE,
  DRIVER_WRITES,
  WITHDRAWN_EARLY,
} from "../../core/requests/protocol/driver_machine.ts";
import { type Edge, edgesBetween, mermaidOf } from "../../core/lifecycle/diagram.ts";
import type { Row } from "../../core/requests/protocol/machine.ts";
import { TOOLSTACK_TABLE } from "../../core/requests/protocol/toolstack_machine.ts";

/** What can be drawn. */
export const REQUEST_DIAGRAMS = ["state", "driver", "toolstack"] as const;

export type RequestDiagram = typeof REQUEST_DIAGRAMS[number];

/** One label for a row: event, conditions, steps. */
function labelOf({ on, when = [], steps = [] }: Row): string {
  const guard = when.length === 0 ? "" : ` [${when.join(", ")}]`;
  const done = steps.length === 0 ? "" : ` / ${steps.join(", ")}`;
  return `${on}${guard}${done}`;
}

function ofTable(table: readonly Row[]): Edge[] {
  return edgesBetween(table.flatMap((row) =>
    // From anywhere: the text says so, and lines would hide all else.
    row.on === "missed" ? [] : row.from.map((from) => ({ from, to: row.to, label: labelOf(row) }))
  ));
}

/** Values of node `state`, by the steps' own rules. */
function ofState(): Edge[] {
  const writes = [
    ...Object.entries(DRIVER_WRITES),
    ["report-disconnected", WITHDRAWN_EARLY] as const,
  ];
  return edgesBetween(writes.flatMap(([step, { expects, online, to }]) =>
    expects.map((from) => ({
      from,
      to,
      label: online === undefined ? step : `${step} [online=${online ? 1 : 0}]`,
    }))
  ));
}

/** Where each begins. */
const BEGINNINGS: Readonly<Record<RequestDiagram, readonly (readonly [string, string])[]>> = {
  state: [["new", "create"]],
  driver: [["unknown", ""]],
  toolstack: [["creating", "attach"], ["waiting", "wait"], ["detaching", "detach"], [
    "forcing",
    "detach by force",
  ]],
};

/** As Mermaid's state diagram. */
export function requestMermaid(diagram: RequestDiagram): string {
  const edges = diagram === "state"
    ? ofState()
    : ofTable(diagram === "driver" ? DRIVER_TABLE : TOOLSTACK_TABLE);
  return mermaidOf([
    ...BEGINNINGS[diagram].map(([to, label]) => ({
      from: "[*]",
      to,
      labels: label ? [label] : [],
    })),
    ...edges,
    ...diagram === "state" ? [{ from: "disconnected", to: "[*]", labels: ["clean"] }] : [],
  ]);
}

/** Rows of a table as Markdown. */
export function requestRows(diagram: "driver" | "toolstack"): string {
  const table: readonly Row[] = diagram === "driver" ? DRIVER_TABLE : TOOLSTACK_TABLE;
  return table.map(({ from, on, when = [], to, steps = [] }) => {
    const where = diagram === "driver" && on === "missed" ? "any" : from.join(", ");
    return `| ${where} | ${on} | ${when.join(", ")} | ${to} | ${steps.join(", ")} |`;
  }).join("\n");
}
