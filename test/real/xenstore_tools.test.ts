/** The xenstore tools beside Debian's own, each on a store of its own, both of Debian's xenstored. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programBinary } from "../support/daemon_process.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

/** A command line; bytes beyond ASCII are written as characters 128 to 255. */
type Line = readonly [tool: string, ...args: string[]];

if (requireReal("the xenstore tools", { packages: [...xenstoredPackages, "xenstore-utils"] })) {
  describe("the xenstore tools", () => {
    let directory: string;
    let binary: string;
    let theirs: RealXenstored;
    let ours: RealXenstored;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), "xdevd-tools-"));
      binary = programBinary(directory);
      [theirs, ours] = await Promise.all([
        startXenstored({ domains: [1] }),
        startXenstored({ domains: [1] }),
      ]);
    });

    afterAll(async () => {
      await Promise.all([theirs?.stop(), ours?.stop()]);
      await rm(directory, { recursive: true, force: true });
    });

    /** What a tool does: streams a character a byte. */
    async function run(
      [tool, ...args]: Line,
      program: string,
      store: RealXenstored,
      { domid = 0, env = {} as Record<string, string>, before = "" } = {},
    ) {
      const words = args.map(quoted).join(" ");
      const child = Bun.spawn(["bash", "-c", `${before}exec -a ${tool} ${program} ${words}`], {
        env: { PATH: process.env["PATH"]!, XENSTORED_PATH: store.socketPath(domid), ...env },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      const [out, error, status] = await Promise.all([
        new Response(child.stdout).bytes(),
        new Response(child.stderr).bytes(),
        child.exited,
      ]);
      return { out: latin1(out), error: latin1(error), status };
    }

    /** Runs a line with both, and expects the same of both. */
    async function same(line: Line, options?: Parameters<typeof run>[3]) {
      const original = `/usr/bin/${line[0].split("/").at(-1)}`;
      const [expected, found] = await Promise.all([
        run(line, original, theirs, options),
        run(line, binary, ours, options),
      ]);
      expect({ line, ...found }).toEqual({ line, ...expected });
      return found;
    }

    async function sameStores() {
      for (const flags of [["-fp"], ["-p"], ["-f"], []]) await same(["xenstore-ls", ...flags]);
    }

    test("a table of command lines", async () => {
      const quiet: string[] = [];
      for (const line of TABLE) {
        const { out, error, status } = await same(line);
        if (out === "" && error === "" && status !== 0) quiet.push(line[0]);
      }
      // Had nothing worked, both would agree as well.
      expect(new Set(quiet)).toEqual(new Set(["xenstore-exists"]));
      expect((await same(["xenstore-read", "/t/value"])).out).toBe("hello\n");
      await sameStores();
    }, 60_000);

    test("a guest's tools: what it may not do", async () => {
      await same(["xenstore-chmod", "/local/domain/1", "n1"]);
      for (const line of GUEST) await same(line, { domid: 1 });
      await sameStores();
    });

    test("no store, and an environment that names one", async () => {
      for (const path of ["/nonexistent/socket", "/", "/dev/null", "/etc/passwd/x"]) {
        const env = { XENSTORED_PATH: path };
        if (path !== "/dev/null" && path !== "/") await same(["xenstore-read", "/a"], { env });
      }
      for (const args of [["/t/value", "-p"], ["-p", "/t/value"]]) {
        await same(["xenstore-read", ...args], { env: { POSIXLY_CORRECT: "1" } });
      }
    });

    test("ls on terminals of several widths", async () => {
      await same([
        "xenstore-write",
        "/w/long",
        "x".repeat(300),
        "/w/e/deeper",
        "\\x00\\n\\t".repeat(30),
      ]);
      for (const columns of [0, 1, 2, 3, 12, 20, 40, 80, 132]) {
        for (const flags of ["", "-f", "-p", "-fp"]) {
          const shell = (program: string) => `stty cols ${columns} rows 24; ${program} ${flags} /w`;
          const at = async (program: string, store: RealXenstored) => {
            const child = Bun.spawn(["script", "-qec", shell(program), "/dev/null"], {
              env: { PATH: process.env["PATH"]!, XENSTORED_PATH: store.socketPath(0) },
              stdin: "ignore",
              stdout: "pipe",
            });
            return await new Response(child.stdout).text();
          };
          const [expected, found] = await Promise.all([
            at("/usr/bin/xenstore-ls", theirs),
            at(`bash -c 'exec -a xenstore-ls ${binary} "$@"' -`, ours),
          ]);
          expect({ columns, flags, found }).toEqual({ columns, flags, found: expected });
          expect(found).toContain(' = "');
        }
      }
    }, 60_000);

    test("watches", async () => {
      for (const line of WATCHES) await same(line);
      const watching = same(["xenstore-watch", "-n", "3", "/watched"]);
      // The first event comes at once; each write makes one more, however late the watch is armed.
      for (let round = 0; round < 200; round++) {
        await same(["xenstore-write", "/watched/x", String(round)]);
        if (await Promise.race([watching.then(() => true), Bun.sleep(1).then(() => false)])) break;
      }
      expect((await watching).out).toBe("/watched\n/watched/x\n/watched/x\n");
    }, 60_000);

    test("random command lines", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(anyLine, { minLength: 1, maxLength: 12 }), async (lines) => {
          for (const line of lines) await same(line);
          await same(["xenstore-ls", "-fp", "/r"]);
        }),
        { numRuns: Number(process.env["XDEVD_TOOL_RUNS"] ?? 10) },
      );
      await sameStores();
    }, 600_000);
  });
}

/** A word for bash that stands for these bytes. */
function quoted(text: string): string {
  const escape = (char: string) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return `$'${[...text].map(escape).join("")}'`;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

const deep = Array.from({ length: 30 }, (_, index) => `n${index}`).join("/");

const TABLE: readonly Line[] = [
  ["xenstore"],
  ["xenstore", "frobnicate"],
  ["xenstore", "read"],
  ["xenstore", "read", "-h"],
  ["xenstore", "exists", "-h"],
  ["xenstore", "list", "-h"],
  ["xenstore", "ls", "-h"],
  ["/usr/bin/xenstore", "write", "--zzz", "/t"],
  ["xenstore", "ls", "-f", "/t"],
  ...["write", "list", "rm", "exists"].flatMap((mode): Line[] => [
    [`/usr/bin/xenstore-${mode}`, "--help"],
    [`xenstore-${mode}`, "-ph"],
    [`xenstore-${mode}`, "-Rh"],
    [`xenstore-${mode}`, "-th"],
    [`xenstore-${mode}`, "--number=3"],
  ]),
  ...["read", "ls", "chmod", "watch"].flatMap((mode): Line[] => [
    [`xenstore-${mode}`, "-h"],
    [`xenstore-${mode}`, "--he"],
    [`xenstore-${mode}`, "--help=now"],
    [`xenstore-${mode}`, "-f", "-h"],
    [`xenstore-${mode}`, "-phu"],
    [`xenstore-${mode}`, "-u", "-h"],
    [`xenstore-${mode}`, "-n"],
    [`xenstore-${mode}`, "--r", "-h"],
    [`xenstore-${mode}`, "-é-", "--", ...(mode === "watch" ? [] : ["-h"])],
    [`xenstore-${mode}`, "--=x", "--numb", "4", "-h"],
  ]),
  ["xenstore-read"],
  ["xenstore-write", "/t"],
  ["xenstore-write", "/t/value", "hello"],
  ["xenstore-write", "-s", "/t/a", "1", "/t/b", "2"],
  ["xenstore-write", "/t/a", "-5"],
  ["xenstore-write", "/t/a", "--", "-5"],
  ["xenstore-write", "--", "/t/a", "-5"],
  ["xenstore-write", "/t/empty", ""],
  ["xenstore-write", "/t/bytes", "\xff\x80\x01\t\r\n\\\\\x7f~"],
  ["xenstore-write", "/t/escapes", "\\x41\\x4\\xfff\\101\\18\\777\\t\\n\\r\\\\\\q\\x00\\000end"],
  ["xenstore-write", "/t/escapes2", "\\x -1\\x-1\\x+f\\x0x41\\xzz\\x \\x- 1\\"],
  ["xenstore-write", "-R", "/t/raw", "\\x41\\t\xff"],
  ["xenstore-write", "/t/limit", "x".repeat(4087)],
  ["xenstore-write", "/t/limit", "x".repeat(4088)],
  ["xenstore-write", "/t/ok", "1", "bad path", "2"],
  ["xenstore-write", "/t/bad\xe9", "1"],
  ["xenstore-write", `/t/${deep}`, "deep"],
  ["xenstore-write", `/t/${"l".repeat(100)}`, "x".repeat(100)],
  ["xenstore-write", `/t/${"m".repeat(60)}`, "short"],
  ["xenstore-write", "relative/to/home", "1"],
  ["xenstore-read", "/t/value"],
  ["xenstore-read", "-p", "/t/value", "/t/a"],
  ["xenstore-read", "/t/value", "-p"],
  ["xenstore-read", "--pre", "--raw", "/t/bytes"],
  ["xenstore-read", "-R", "/t/bytes", "/t/escapes"],
  ["xenstore-read", "/t/bytes", "/t/escapes", "/t/escapes2", "/t/raw", "/t/empty"],
  ["xenstore-read", "/t/value", "/t/none", "/t/a"],
  ["xenstore-read", "/t/none"],
  ["xenstore-read", "", "/"],
  ["xenstore-read", "/"],
  ["xenstore-read", "/t/"],
  ["xenstore-read", "/t//a"],
  ["xenstore-read", "@introduceDomain"],
  ["xenstore-read", "relative/to/home"],
  ["xenstore-read", "/t/bad\xe9"],
  ["xenstore-list", "/t"],
  ["xenstore-list", "-p", "/t", "/"],
  ["xenstore-list", "/t/value", "/t/none", "/"],
  ["xenstore-ls", "/t"],
  ["xenstore-ls", "-p", "/t"],
  ["xenstore-ls", "-f", "/t"],
  ["xenstore-ls", "-pf", "/t"],
  ["xenstore-ls", "/t/", "/t/n0"],
  ["xenstore-ls", "/t/none"],
  ["xenstore-ls", "/t/value", "/t/none"],
  ["xenstore-ls", "relative"],
  ["xenstore-ls", "bad path"],
  ["xenstore-exists", "/t/value"],
  ["xenstore-exists", "/t/value", "/t/none"],
  ["xenstore-exists", "-p", "/t"],
  ["xenstore-exists", "/"],
  ["xenstore-chmod", "/t/value"],
  ["xenstore-chmod", "/t/value", "n1", "r2", "w3", "b4"],
  ["xenstore-chmod", "/t/value", "r"],
  ["xenstore-chmod", "/t/value", "x1"],
  ["xenstore-chmod", "/t/value", "r1x"],
  ["xenstore-chmod", "/t/value", "r 7"],
  ["xenstore-chmod", "/t/value", "r99999999999"],
  ["xenstore-chmod", "/t/value", "r-2147483648"],
  ["xenstore-chmod", "/t/none", "r1"],
  ["xenstore-chmod", "-u", "/t/n0/n1", "r1"],
  ["xenstore-chmod", "-r", "/t/n0", "n0", "b1"],
  ["xenstore-chmod", "-ru", "/t/n0/n1", "b2"],
  ["xenstore-chmod", "-r", "/t/", "r1"],
  ["xenstore-chmod", "-r", "/", "n0"],
  ["xenstore-chmod", "-u", "relative/to", "r1"],
  ["xenstore-chmod", "", "r1"],
  ["xenstore-chmod", "@releaseDomain", "n0", "r1"],
  ["xenstore-chmod", "@releaseDomain", "n0"],
  ["xenstore-rm", "/t/none"],
  ["xenstore-rm", "/t/none/none"],
  ["xenstore-rm", "/t/a", "/nowhere/at/all"],
  ["xenstore-rm", "/t/a", "/t/b"],
  ["xenstore-rm", "-t", `/t/${deep}`],
  ["xenstore-rm", "-t", "/t/none/none"],
  ["xenstore-rm", "-t", "relative/to/home"],
  ["xenstore-rm", "-t", "relative"],
  ["xenstore-rm", "/"],
  ["xenstore-rm", "-t", "/"],
];

const GUEST: readonly Line[] = [
  ["xenstore-write", "own", "1"],
  ["xenstore-read", "own"],
  ["xenstore-read", "/t/value"],
  ["xenstore-write", "/t/value", "1"],
  ["xenstore-ls"],
  ["xenstore-ls", "-p", "/local/domain/1"],
  ["xenstore-ls", "/t"],
  ["xenstore-chmod", "own", "n0"],
  ["xenstore-chmod", "-r", "/local/domain/1", "n1", "r0"],
  ["xenstore-chmod", "/t", "n1"],
  ["xenstore-rm", "/t"],
  ["xenstore-list", "/local/domain"],
  ["xenstore-exists", "/t/value"],
  ["xenstore-watch", "-n", "1", "own"],
];

const WATCHES: readonly Line[] = [
  ["xenstore-watch", "-n", "1", "/a"],
  ["xenstore-watch", "-n", "2", "/a", "/none/at/all"],
  ["xenstore-watch", "-n1", "relative"],
  ["xenstore-watch", "-n1", "@introduceDomain"],
  ["xenstore-watch", "-n1", "bad path"],
  ["xenstore-watch", "-n1", "/a", "/a"],
  ["xenstore-watch", "--number=0", "/a"],
  ["xenstore-watch", "-n", "-7", "/a"],
  ["xenstore-watch", "-n", "many", "/a"],
];

const component = fc.constantFrom("a", "b", "c-1", "0", "x_y", "@");
const path = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.array(component, { maxLength: 3 }).map((c) => ["/r", ...c].join("/")),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", "/r/", "//", "r//a", "/r/é", "/r/a b", "@releaseDomain"),
  },
);
const byte = fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code));
const value = fc.array(
  fc.oneof(
    byte,
    fc.constantFrom("\\", "\\x", "\\0", "\\7", "\\t", " ", "0x", "-1", "+", "f", "x".repeat(30)),
  ),
  { maxLength: 12 },
).map((parts) => parts.join(""));
const permission = fc.tuple(
  fc.constantFrom("n", "r", "w", "b", "b", "r", "q"),
  // Domains that exist: of a bad path and a bad domain, the two clients meet another one first.
  fc.constantFrom("0", "1", "", " 1", "+1", "1z"),
).map((parts) => parts.join(""));
const options = fc.array(
  fc.constantFrom("-s", "-p", "-f", "-R", "-t", "-u", "-r", "--pre", "--ra", "--", "-x", "-"),
  { maxLength: 2 },
);
const operands: Readonly<Record<string, fc.Arbitrary<string[]>>> = {
  read: fc.array(path, { maxLength: 3 }),
  write: fc.array(fc.tuple(path, value), { maxLength: 3 }).map((pairs) => pairs.flat()),
  list: fc.array(path, { maxLength: 3 }),
  ls: fc.array(path, { maxLength: 2 }),
  rm: fc.array(path, { maxLength: 2 }),
  exists: fc.array(path, { maxLength: 3 }),
  chmod: fc.tuple(path, fc.array(permission, { maxLength: 3 })).map(([p, list]) => [p, ...list]),
};
const weighted = ["write", "write", "write", "read", "list", "ls", "rm", "exists", "chmod"];
const anyLine: fc.Arbitrary<Line> = fc.constantFrom(...weighted).chain((mode) => {
  const rest = fc.tuple(fc.oneof(fc.constant([]), options), operands[mode]!);
  return rest.map(([flags, words]): Line => [`xenstore-${mode}`, ...flags, ...words]);
});
