/** `xdevd complete`, which shells ask, and `xdevd completion`, which gives them what asks. */
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { printable } from "../../core/log/log.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { ExitCode } from "../../core/messages/error.ts";
import { connectStore } from "../../machine/connect.ts";
import { systemClock } from "../../platform/clock.ts";
import { printTo } from "../../platform/self.ts";
import type { CommandData } from "../line/data.ts";
import { lookUp } from "./look_up.ts";
import { SCRIPTS } from "./scripts.ts";
import { type Suggestion, type Wanted, wanted } from "./wanted.ts";

/** Who types does not wait longer for a store, in ms. */
const PATIENCE_MS = 400;

/** What shells take as it is, wherever it stands. */
const PLAIN = /^[A-Za-z0-9_@%+=:,.\/-]+$/;

/** Longest meaning that is shown, in characters. */
const MEANING_MAX = 80;

/** Prints a shell's script. */
export function printScript(shell: keyof typeof SCRIPTS): number {
  printTo(1, SCRIPTS[shell]);
  return ExitCode.Success;
}

/**
 * Prints a line that says what else the shell itself may complete to (`:`, `:file`, `:directory`), and
 * a line for each word: the word, a tab, its meaning. What fails adds nothing, and is not told.
 * @param words those of the line but for the program's name, the last one being typed
 */
export async function complete(
  program: CommandData,
  words: readonly string[],
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const want = wanted(program, words);
  const found = [...want.known, ...await lookedUp(want, builtIns)];
  const fitting = new Map(
    found.filter(([word]) => word.startsWith(want.typed) && PLAIN.test(want.fixed + word)),
  );
  const of = (source: string) => want.sources.some((one) => one.of === source);
  const also = of("directory") ? "directory" : of("file") || of("plugin") ? "file" : "";
  const lines = [...fitting].map(([word, meaning]) =>
    `${want.fixed}${word}\t${printable(meaning.slice(0, MEANING_MAX))}\n`
  );
  printTo(1, `:${also}\n${lines.join("")}`);
  return ExitCode.Success;
}

async function lookedUp(
  { sources, typed, store: path }: Wanted,
  builtIns: readonly BuiltIn[],
): Promise<Suggestion[]> {
  let connection: Promise<StoreClient> | undefined;
  const store = () =>
    connection ??= connectStore(path).then(({ store }) => {
      store.limitPatience(PATIENCE_MS);
      return store;
    });
  const { promise: late, resolve } = Promise.withResolvers<Suggestion[]>();
  const timer = systemClock.after(PATIENCE_MS, () => resolve([]));
  const looked = Promise.all(sources.map((source) => lookUp(source, typed, builtIns, store)))
    .then((all) => all.flat(), () => []);
  try {
    return await Promise.race([looked, late]);
  } finally {
    timer();
    connection?.then((store) => store.close(), () => {});
  }
}

/** The words of a line as a shell has it, up to the cursor. */
export function wordsOfLine(line: string): string[] {
  const words = line.match(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"?|'[^']*'?)+/gs) ?? [];
  const plain = words.map((word) => word.replace(/\\(.)|["']/gs, "$1"));
  return [...plain.slice(1), ...(/(^|[^\\])\s$/.test(line) ? [""] : [])];
}
