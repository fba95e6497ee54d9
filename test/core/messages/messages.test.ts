/** Messages that ask a person to act: each code has a row, each row is used, and the page is made from them. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { configureLog, openLog } from "../../../core/log/log.ts";
import { AlreadyServed, CodedError, lineOf, problemOf } from "../../../core/messages/error.ts";
import { coded, codeIn, MESSAGES } from "../../../core/messages/table.ts";
import { endOf, SpecError } from "../../../core/toolstack/specs/spec_error.ts";
import { ConnectionError } from "../../../core/xenstore/errors.ts";
import { DOCS, DOCUMENTS } from "../../../tools/docs/documents.ts";

const root = join(import.meta.dir, "..", "..", "..");
const sources = ["backends", "commands", "core", "machine", "platform", "plugins"].flatMap((
  folder,
) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && name !== "messages/table.ts")
    .map((name) => readFileSync(join(root, folder, name), "utf8"))
);

describe("the table", () => {
  test("docs/troubleshooting.md is up to date (else: npm run docs)", async () => {
    const name = "troubleshooting.md";
    expect(readFileSync(join(DOCS, name), "utf8")).toBe(await DOCUMENTS[name]!());
  });

  test("each code that a message bears is in it", () => {
    // At the end of a text; an index into an array is no code.
    const borne = sources.flatMap((text) =>
      [...text.matchAll(/ \[([a-z][a-z0-9]*(?:-[a-z0-9]+)+)\](?=["`])/g)].map(([, code]) => code!)
    );
    expect(new Set(borne).size).toBeGreaterThan(8);
    expect(borne.filter((code) => codeIn(`x [${code}]`) === null)).toEqual([]);
  });

  test("each row is that of some message", () => {
    const unused = Object.keys(MESSAGES).filter((code) =>
      !sources.some((text) => text.includes(`"${code}"`) || text.includes(` [${code}]`))
    );
    expect(unused).toEqual([]);
  });

  test("each row says what is wrong and what to do, in sentences that a table can hold", () => {
    for (const [code, { status, problem, repair }] of Object.entries(MESSAGES)) {
      expect(code).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
      expect(status ?? 1).toBeWithin(1, 18);
      for (const text of [problem, repair]) expect(text).toMatch(/^[^|\n]+\.$/);
    }
  });

  test("cli.md explains every status", () => {
    const explained = readFileSync(join(DOCS, "cli.md"), "utf8");
    for (const { status } of Object.values(MESSAGES)) {
      if (status !== undefined) {
        expect(explained).toMatch(new RegExp(`^\\| ${status} \\| \\S`, "m"));
      }
    }
  });
});

describe("a line", () => {
  test("bears one code, the first it got, and only a code of the table counts", () => {
    expect(coded("setup-failed", "no bridge")).toBe("no bridge [setup-failed]");
    expect(coded("setup-failed", "no bridge [bridge-missing]")).toBe("no bridge [bridge-missing]");
    expect(coded("setup-failed", "said [so]")).toBe("said [so] [setup-failed]");
    for (const text of ["", "no bridge", "[bridge-missing] no", "x [toString]", "x [__proto__]"]) {
      expect(codeIn(text)).toBeNull();
    }
    expect(codeIn("no bridge [bridge-missing]")).toBe("bridge-missing");
  });

  test("has its code as a field of its own in a log for programs", () => {
    const lines: string[] = [];
    configureLog("info", (line) => lines.push(line), { format: "json", journal: false });
    openLog().warning(coded("store-lost", "the store went away"));
    openLog().warning("it came back");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { code: "store-lost", message: "the store went away [store-lost]" },
      { message: "it came back" },
    ]);
    expect(JSON.parse(lines[1]!)).not.toHaveProperty("code");
  });
});

describe("what ended a command", () => {
  const pointed = new SpecError("disk", "no target", endOf(["vdev=xvda"]), "target=");
  const errors = [
    [new CodedError("no-such-domain", "there is no domain 9"), "no-such-domain", 8],
    [new AlreadyServed("another daemon serves already", false), "already-served", 4],
    [new ConnectionError("the store went away", "EPIPE"), "store-unreachable", 3],
    [pointed, "bad-specification", 6],
    [new Error("it broke"), "failed", 1],
    [Object.assign(new Error("it broke"), { messageCode: "constructor" }), "failed", 1],
    ["it broke", "failed", 1],
  ] as const;

  test.each(errors)("%p", (error, code, status) => {
    const problem = problemOf(error);
    expect(problem).toMatchObject({ code, status });
    const suffix = code === "failed" ? "" : ` [${code}]`;
    expect(lineOf(problem)).toBe(`${error instanceof Error ? error.message : error}${suffix}`);
  });

  test("points at the place of a specification", () => {
    expect(problemOf(pointed).details).toHaveLength(2);
    expect(problemOf(new Error("it broke")).details).toEqual([]);
  });
});
