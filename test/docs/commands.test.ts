/** What the documents tell people to type works: each line of a block that is marked is run. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDomainHome } from "../../simulation/domains.ts";
import { until } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { connectTo } from "../support/store_connection.ts";
import { markedBlocks, type MarkedLine } from "./marked_blocks.ts";

/** A check of a plugin takes ten seconds, and more on a busy machine. */
setDefaultTimeout(180_000);

const root = join(import.meta.dir, "..", "..");
const pages = [
  "README.md",
  ...readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md")).sort()
    .map((name) => `docs/${name}`),
];
const blocks = pages.flatMap((page) => markedBlocks(page, readFileSync(join(root, page), "utf8")));

/** How many there are at least: who takes a mark away has to say so here. */
const LEAST = { blocks: 6, lines: 14 };

let directory: string;
let store: EmbeddedStore;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-docs-"));
  store = await startEmbeddedStore([1, 7]);
  const dom0 = await connectTo(store.socketPath(0));
  await createDomainHome(dom0, { domid: 1, driverDomain: true });
  await createDomainHome(dom0, { domid: 7 });
  dom0.close();
  const bin = join(directory, "bin");
  mkdirSync(bin);
  const program = (name: string, text: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  const main = `"${process.execPath}" "${join(root, "main.ts")}"`;
  // As installed, but for the daemon's run directory: the machine's own may be in use.
  program(
    "xdevd",
    `case "$1 $*" in devd*--run-dir*) ;; devd*) set -- "$@" --run-dir "${directory}/run" ;; esac\n` +
      `exec ${main} "$@"`,
  );
  // What `xdevd install --links` makes.
  for (const tool of ["xenstore-read", "xenstore-write"]) {
    program(tool, `exec ${main} ${tool} "$@"`);
  }
});

afterAll(async () => {
  await store.stop();
  rmSync(directory, { recursive: true });
});

test("enough is marked", () => {
  const lines = blocks.flatMap((block) => block.lines);
  expect(blocks.length).toBeGreaterThanOrEqual(LEAST.blocks);
  expect(lines.length).toBeGreaterThanOrEqual(LEAST.lines);
});

describe("marks", () => {
  const of = (info: string) =>
    markedBlocks("x.md", `\n\`\`\`${info}\none\n\n# two\nthree\n\`\`\`\n`);
  test("of a block, of lines, and none", () => {
    const commands = (info: string) =>
      of(info).flatMap(({ lines }) => lines.map(({ line, command }) => `${line} ${command}`));
    expect(commands("sh works")).toEqual(["3 one", "5 # two", "6 three"]);
    expect(commands("sh works=3,1")).toEqual(["6 three", "3 one"]);
    expect(commands("sh")).toEqual([]);
    expect(of("sh root works")[0]?.root).toBe(true);
  });
  test.each(["sh works=4", "sh work", "sh works=", "sh root"])("%s makes no sense", (info) => {
    expect(() => of(info)).toThrow(/^x\.md:2: /);
  });
});

/** A program that goes on until it is told to end. */
interface Running {
  readonly line: MarkedLine;
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  said: string;
}

function start(line: MarkedLine, command: string, cwd: string): Running {
  const child = Bun.spawn(["bash", "-c", command], {
    // Where people work: what they write is gone when the test is.
    cwd: /^(npm|node_modules\/)/.test(command) ? root : cwd,
    env: {
      ...process.env,
      PATH: `${directory}/bin:${process.env["PATH"]}`,
      XENSTORED_PATH: store.socketPath(1),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const running: Running = { line, child, said: "" };
  for (const stream of [child.stdout, child.stderr]) {
    (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) running.said += decoder.decode(chunk, { stream: true });
    })();
  }
  return running;
}

const shown = ({ line: { file, line, command }, said }: Running) =>
  `${file}:${line}: ${command}\n${said}`;

/** It serves when it says so. */
async function serves(running: Running): Promise<void> {
  const word = running.line.command.includes("devd -F") ? /kinds / : /\n/;
  await until(
    () => word.test(running.said) || running.child.exitCode !== null,
    () => `it says nothing: ${shown(running)}`,
  );
  if (running.child.exitCode !== null) throw new Error(`it has ended: ${shown(running)}`);
}

async function end(running: Running): Promise<void> {
  running.child.kill("SIGTERM");
  const code = await running.child.exited;
  if (code !== 0) throw new Error(`it ends with ${code}: ${shown(running)}`);
}

async function run(line: MarkedLine, cwd: string, background: Running[]): Promise<void> {
  // Nobody's directory but ours.
  const command = line.command.replaceAll("/tmp/", `${directory}/`);
  const [, behind] = /^(.*\S)\s+&\s*(?:#.*)?$/.exec(command) ?? [];
  if (behind !== undefined) {
    const running = start(line, `exec ${behind}`, cwd);
    background.push(running);
    return await serves(running);
  }
  if (/^xdevd devd -F/.test(command)) {
    const running = start(line, `exec ${command}`, cwd);
    await serves(running);
    return await end(running);
  }
  const running = start(line, command, cwd);
  const code = await running.child.exited;
  if (code !== 0) throw new Error(`it ends with ${code}: ${shown(running)}`);
}

const marked = [...new Set(blocks.map(({ lines }) => lines[0]!.file))];
describe.each(marked)("%s", (page) => {
  const own = blocks.filter(({ lines }) => lines[0]!.file === page);
  for (const { lines, root: needsRoot } of own) {
    const runs = !needsRoot || process.getuid?.() === 0;
    const name = `line ${lines[0]!.line}: ${lines[0]!.command}`;
    if (!runs) console.error(`NOT RUN: ${page}, ${name}: missing root`);
    test.skipIf(!runs)(name, async () => {
      const cwd = mkdtempSync(join(directory, "work-"));
      const background: Running[] = [];
      try {
        for (const line of lines) await run(line, cwd, background);
        for (const running of background.reverse()) await end(running);
      } finally {
        for (const { child } of background) child.kill("SIGKILL");
      }
    });
  }
});
