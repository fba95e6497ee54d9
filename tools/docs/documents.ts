/** The documents that are made from the code: a template each (`docs/templates/`), and what its gaps get. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { renderLifecycle } from "../../commands/lifecycle/lifecycle.ts";
import { rulesOf, toMermaid } from "../../core/lifecycle/diagram.ts";
import { DESCRIPTION } from "../../core/daemon/control/interface.ts";
import { MESSAGES } from "../../core/messages/table.ts";
import { DRIVER_WRITES } from "../../core/requests/protocol/driver_machine.ts";
import {
  DRIVER_NODES,
  REQUEST_MARK,
  REQUEST_NODES,
  REQUEST_STATES,
} from "../../core/requests/protocol/nodes.ts";
import { TOOLSTACK_WRITES } from "../../core/requests/protocol/toolstack_machine.ts";
import { TIMES } from "../../core/xen/times.ts";
import { protocolDocument } from "./capability_reference.ts";
import { lasting, record } from "./recording.ts";
import { requestMermaid, requestRows } from "./request_diagram.ts";

/** Where they are, and their templates below it. */
export const DOCS = join(import.meta.dir, "..", "..", "docs");

/** What makes each of them, by its name in {@link DOCS}. */
export const DOCUMENTS: Readonly<Record<string, () => string | Promise<string>>> = {
  "io.xdevd.Devices.varlink": () => DESCRIPTION,

  "lifecycle.svg": () => renderLifecycle("svg"),

  "lifecycle.md": () =>
    filled("lifecycle.md", {
      diagram: toMermaid(),
      rows: table(
        rulesOf().map((
          { from, on, when, to, effects, tells = "" },
        ) => [from, on, when.join(", "), to, effects.join(", "), tells]),
      ),
      times: table(
        Object.entries(TIMES).map((
          [name, { ms, min, max, meaning, source }],
        ) => [`\`${name}\``, ms / 1000, `${min / 1000} … ${max / 1000}`, meaning, source]),
      ),
    }),

  "request-protocol.md": () =>
    filled("request-protocol.md", {
      mark: REQUEST_MARK,
      nodes: table(
        Object.entries(REQUEST_NODES).map(([name, { writer, when, meaning }]) => {
          const isDrivers = (DRIVER_NODES as readonly string[]).includes(name);
          return [`\`${name}\``, writer, isDrivers ? "`n0,bDD`" : "`n0,rDD`", when, meaning];
        }),
      ),
      states: table(Object.entries(REQUEST_STATES).map(([name, text]) => [`\`${name}\``, text])),
      writes: table(
        Object.entries(DRIVER_WRITES).map((
          [step, { expects, online, to }],
        ) => [step, expects.join(", "), flag(online), to]),
      ),
      steps: table(
        Object.entries(TOOLSTACK_WRITES).map(([step, { expects, online, record }]) => {
          const states = expects.map((state) => state ?? "(no request)").join(", ");
          return [step, states, flag(online), record ?? ""];
        }),
      ),
      "diagram-state": requestMermaid("state"),
      "diagram-driver": requestMermaid("driver"),
      "diagram-toolstack": requestMermaid("toolstack"),
      "rows-driver": requestRows("driver"),
      "rows-toolstack": requestRows("toolstack"),
    }),

  "plugin-protocol.md": () =>
    protocolDocument(readFileSync(join(DOCS, "plugin-protocol.md"), "utf8")),

  "sandbox.md": async () => {
    const before = readFileSync(join(DOCS, "sandbox.md"), "utf8");
    const now = await record([process.execPath, join(DOCS, "..", "main.ts")]);
    // Other times are no other session.
    return lasting(before) === lasting(now) ? before : now;
  },

  "troubleshooting.md": () => {
    const all = Object.entries(MESSAGES);
    return filled("troubleshooting.md", {
      commands: table(
        all.filter(([, { status }]) => status !== undefined)
          .map(([code, { status, problem, repair }]) => [`\`${code}\``, status!, problem, repair]),
      ),
      daemon: table(
        all.filter(([, { status }]) => status === undefined)
          .map(([code, { problem, repair }]) => [`\`${code}\``, problem, repair]),
      ),
    });
  },
};

/** A template with its gaps (`{{name}}`) filled. @throws Error when a gap has nothing, or something no gap */
function filled(template: string, gaps: Readonly<Record<string, string>>): string {
  const left = new Set(Object.keys(gaps));
  const text = readFileSync(join(DOCS, "templates", template), "utf8")
    .replace(/\{\{([\w-]+)\}\}/g, (_, name: string) => {
      left.delete(name);
      return gaps[name] ?? fail(`${template} has a gap ${name}, for which there is nothing`);
    });
  return left.size === 0 ? text : fail(`${template} has no gap ${[...left].join(", ")}`);
}

function fail(message: string): never {
  throw new Error(message);
}

/** Rows of a Markdown table. */
function table(rows: readonly (readonly (string | number)[])[]): string {
  return rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function flag(value: boolean | undefined): string | number {
  return value === undefined ? "" : Number(value);
}
