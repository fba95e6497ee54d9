/** One request on its way: its arguments, where it works, and what is answered. */
import { type Message, nulTerminated, splitNul, toText } from "../../core/xenstore/codec.ts";
import type { ServerConnection } from "./connection.ts";
import { require } from "./failure.ts";
import type { NodeView } from "./node.ts";
import { canonicalPath } from "./paths.ts";
import type { Store } from "./store.ts";
import type { ServerTransaction } from "./transaction.ts";

/** One request. */
export interface Call {
  readonly store: Store;
  readonly connection: ServerConnection;
  readonly message: Message;
  readonly transaction: ServerTransaction | null;
}

/** What a request is answered with. */
export interface Answer {
  readonly payload: Uint8Array;
  /** What is done when the answer is on its way. */
  after?(): void;
}

/** How an operation is done. */
export interface Handler {
  /** Whether only domain 0 may ask for it. */
  readonly privileged?: boolean;
  /** Whether the transaction id is not even looked at. */
  readonly ignoresTransaction?: boolean;
  /**
   * Does it, and returns the answer; a promise holds back the connection's next requests until it
   * is resolved.
   * @throws Failure to refuse it
   */
  run(call: Call): Answer | Promise<Answer>;
}

/** The answer that says no more than that it is done. */
export const DONE: Answer = { payload: nulTerminated("OK") };

/** An answer of strings, each with its NUL. */
export function answerStrings(...texts: readonly string[]): Answer {
  return { payload: nulTerminated(...texts) };
}

/** The payload as exactly one string: one NUL, at the end. @throws Failure EINVAL */
export function onlyString({ message }: Call): string {
  const { payload } = message;
  require(payload.indexOf(0) === payload.length - 1 && payload.length > 0, "EINVAL");
  return toText(payload.subarray(0, -1));
}

/** The payload's strings; bytes behind the last NUL do not count. */
export function strings({ message }: Call): Uint8Array[] {
  const end = message.payload.lastIndexOf(0);
  return end < 0 ? [] : splitNul(message.payload.subarray(0, end + 1));
}

/** The tree that the request sees. */
export function viewOf({ store, transaction }: Call): NodeView {
  return transaction ?? store.tree;
}

/** The absolute path that the caller means. @throws Failure EINVAL */
export function pathArgument(call: Call, text: string): string {
  return canonicalPath(text, call.connection.domid, call.store.quotas.pathLength);
}
