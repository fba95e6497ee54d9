/** What a storage helper is told and answers: a line of JSON each, with big integers and bytes. */

/** A call; `target` says of what. */
export interface StorageCall {
  readonly on: "files" | "blocks";
  readonly call: string;
  readonly args: readonly unknown[];
}

/** How it ended. */
export type StorageAnswer =
  | { readonly value?: unknown }
  | { readonly code?: string; readonly message: string };

/** Longest line, in characters: a file of a few megabytes. */
export const LINE_MAX = 32 * 1024 * 1024;

/** One line, with its end. */
export function encodeLine(value: StorageCall | StorageAnswer): Uint8Array {
  const text = JSON.stringify(value, (_, part) => {
    if (typeof part === "bigint") return { $integer: String(part) };
    if (part instanceof Uint8Array) return { $bytes: hex(part) };
    return part === undefined ? { $nothing: true } : part;
  });
  return new TextEncoder().encode(`${text}\n`);
}

/** @throws SyntaxError */
export function decodeLine(line: string): unknown {
  return JSON.parse(line, (_, part) => {
    if (typeof part !== "object" || part === null) return part;
    if (typeof part.$integer === "string") return BigInt(part.$integer);
    if (typeof part.$bytes === "string") return bytesOf(part.$bytes);
    return part.$nothing === true ? undefined : part;
  });
}

function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += (byte + 0x100).toString(16).slice(1);
  return text;
}

function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Cuts what comes into lines. @throws Error when one is too long */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let pending = "";
  for await (const chunk of chunks) {
    const lines = (pending + decoder.decode(chunk, { stream: true })).split("\n");
    pending = lines.pop()!;
    yield* lines;
    if (pending.length > LINE_MAX) throw new Error(`a line of more than ${LINE_MAX} characters`);
  }
}
