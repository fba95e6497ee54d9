/** The xenstore tools, with the input, output and exit status of xenstore-utils 4.17. */
import { OutputClosed, type StandardStream, writeFully } from "../../../platform/io/output.ts";
import { argumentBytes, environment, exit } from "../../../platform/self.ts";
import type { StoreClient } from "../../../core/xenstore/client.ts";
import type { StoreError } from "../../../core/xenstore/errors.ts";
import { type Call, decodeCall } from "./call.ts";
import { openStore, ToolFailure } from "./failure.ts";
import { layoutOf, listTree } from "./ls.ts";
import { encoded, type Streams, toBytes } from "./values.ts";
import { isTransaction, perform } from "./perform.ts";
import { type Invocation, shortName } from "./tool_called.ts";

/** Output is kept until there is so much of it, in bytes. */
const BUFFER_SIZE = 64 * 1024;

/** Runs a tool to its end; resolves with the exit status. */
export async function runTool({ name, skip }: Invocation): Promise<number> {
  const args = (await argumentBytes()).slice(skip);
  const { call, says } = decodeCall(name, args, environment("POSIXLY_CORRECT") !== undefined);
  for (const text of says) print(2, text);
  if (call === null) return 1;
  const short = shortName(name);
  let output = "";
  const flush = () => {
    print(1, output);
    output = "";
  };
  const streams: Streams = {
    out: (text) => {
      output += text;
      if (output.length >= BUFFER_SIZE) flush();
    },
    error: (text) => print(2, `${short}: ${text}`),
  };
  try {
    return await run(call, streams, flush);
  } catch (error) {
    streams.error(
      error instanceof ToolFailure ? error.message : `${encoded((error as Error).message)}\n`,
    );
    return 1;
  } finally {
    flush();
  }
}

async function run(call: Call, streams: Streams, flush: () => void): Promise<number> {
  const layout = call.mode === "ls" ? layoutOf(call, await columns()) : undefined;
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  const store = await openStore(lost.reject);
  try {
    if (layout !== undefined) {
      const paths = call.operands.length === 0 ? ["/"] : call.operands;
      for (const path of paths) await listTree(path, store, streams, layout);
      return 0;
    }
    if (call.mode === "watch") {
      return await Promise.race([watch(call, store, streams, flush), lost.promise]);
    }
    if (isTransaction(call)) return await transact(call, store, streams);
    return await perform(call, store, streams) ? 0 : 1;
  } finally {
    store.close();
  }
}

/** Writes a text of a character a byte. When nobody reads, the process ends, as programs do. */
function print(fd: StandardStream, text: string): void {
  if (!writeFully(fd, toBytes(text))) exit(OutputClosed.status);
}

async function columns(): Promise<number | undefined> {
  const { terminalWidth } = await import("../../../platform/io/terminal.ts");
  return terminalWidth(1);
}

/** What a transaction has to be given up for. */
class Abandon extends Error {}

async function transact(call: Call, store: StoreClient, streams: Streams): Promise<number> {
  // What a run prints that conflicts with another writer's is not printed.
  let output = "";
  const collect: Streams = { ...streams, out: (text) => output += text };
  try {
    await store.transaction(async (transaction) => {
      output = "";
      if (!await perform(call, transaction, collect)) throw new Abandon();
    }, { attempts: Infinity });
    streams.out(output);
    return 0;
  } catch (error) {
    if (error instanceof Abandon) {
      streams.out(output);
      return 1;
    }
    const { operation } = error as StoreError & { operation?: string };
    if (operation === "TRANSACTION_START") throw new ToolFailure("couldn't start transaction\n");
    if (operation === "TRANSACTION_END") throw new ToolFailure("couldn't end transaction\n");
    throw error;
  }
}

async function watch(
  call: Call,
  store: StoreClient,
  streams: Streams,
  flush: () => void,
): Promise<number> {
  const done = Promise.withResolvers<void>();
  let left = call.number === -1 ? Infinity : Math.max(0, call.number);
  let armed = false;
  const waiting: string[] = [];
  const print = (path: string) => {
    if (left === 0) return;
    streams.out(`${encoded(path)}\n`);
    flush();
    if (--left === 0) done.resolve();
  };
  const seen = new Set<string>();
  for (const path of call.operands) {
    try {
      // One watch of a path is all that libxenstore could tell apart.
      if (seen.has(path)) throw new Error("watched already");
      seen.add(path);
      await store.watch(path, (changed) => armed ? print(changed) : waiting.push(changed));
    } catch {
      // The empty line is the original's.
      throw new ToolFailure(`Unable to add watch on ${path}\n\n`);
    }
  }
  armed = true;
  if (left === 0) return 0;
  for (const path of waiting) print(path);
  await done.promise;
  return 0;
}
