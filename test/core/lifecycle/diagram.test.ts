/** The lifecycle's diagram: complete, valid, and what the documents show. */
import { describe, expect, test } from "bun:test";
import { instance } from "@viz-js/viz";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PHASES, rulesOf, toDot, toMermaid } from "../../../core/lifecycle/diagram.ts";
import { TABLE } from "../../../core/lifecycle/table.ts";
import { DOCS, DOCUMENTS } from "../../../tools/docs/documents.ts";
import { runProgram } from "../../support/daemon_process.ts";
import { fullCommand } from "../../support/full_only.ts";

describe("the diagram", () => {
  test("docs/lifecycle.md and docs/lifecycle.svg are up to date (else: npm run docs)", async () => {
    for (const name of ["lifecycle.md", "lifecycle.svg"]) {
      expect(readFileSync(join(DOCS, name), "utf8")).toBe(await DOCUMENTS[name]!());
    }
  });

  test("has all phases, and every row that does anything", () => {
    for (const text of [toMermaid(), toDot()]) {
      for (const phase of PHASES) expect(text).toContain(phase);
      for (const { from, to, on, when, effects } of rulesOf()) {
        if (from === to && effects.length === 0) continue;
        const label = `${on}${when.length === 0 ? "" : ` [${when.join(", ")}]`}`;
        const edge = text.split("\n").filter((line) =>
          new RegExp(`^\\s+"?${from}"? (-->|->) "?${to}"? `).test(line)
        );
        expect(edge).toHaveLength(1);
        expect(edge[0]).toContain(label);
      }
    }
  });

  test("every phase can be reached, and left", () => {
    const reached = new Set<string>(["absent", "recovering"]);
    for (let round = 0; round < PHASES.length; round++) {
      for (const { from, to } of rulesOf()) if (reached.has(from)) reached.add(to);
    }
    expect([...reached].toSorted()).toEqual([...PHASES].toSorted());
    for (const phase of PHASES) {
      expect(rulesOf().some(({ from, to }) => from === phase && to !== phase)).toBeTrue();
    }
  });

  test("without any of the rows it shows, it is another diagram", () => {
    for (const row of TABLE) {
      const shown = rulesOf([row]).some(({ from, to, effects }) =>
        from !== to || effects.length > 0
      );
      const less = TABLE.filter((other) => other !== row);
      expect(toMermaid(less) !== toMermaid()).toBe(shown);
      expect(toDot(less) !== toDot()).toBe(shown);
    }
  });

  test("each line of the Mermaid text is a transition", () => {
    const [head, ...lines] = toMermaid().trimEnd().split("\n");
    expect(head).toBe("stateDiagram-v2");
    for (const line of lines) expect(line).toMatch(/^ {2}(\[\*\]|\w+) --> \w+( : [^:;{}"]+)?$/);
  });

  test("Graphviz takes the dot text, and has nothing to warn of", async () => {
    const { status, errors } = (await instance()).render(toDot(), { format: "svg" });
    expect({ status, errors }).toEqual({ status: "success", errors: [] });
  });

  test("the command prints it, and says what else it could", async () => {
    const [mermaid, dot, bad] = await Promise.all(
      [[], ["--format", "dot"], ["--format", "png"]].map((args) =>
        runProgram(["lifecycle", ...args])
      ),
    );
    expect(mermaid!.stdout).toBe(toMermaid());
    expect(dot!.stdout).toBe(toDot());
    expect(bad!.code).toBe(2);
    expect(bad!.stderr).toMatch(/'png' is invalid. Allowed choices are mermaid, dot, svg/);
  });

  test("the command draws it", async () => {
    const full = fullCommand("drawings");
    const { stdout } = await runProgram(["lifecycle", "--format", "svg"], {}, undefined, full);
    expect(stdout).toContain("</svg>");
  });
});
