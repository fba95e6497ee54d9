/** A stream that is read when its reader wants to. */
import type { SocketStream } from "../../contract/v2/server.ts";
import type { ByteStream } from "../types.ts";

/** Bytes that may wait to be read: more only comes from a peer that was not asked. */
const WAITING_MAX = 1024 * 1024;

/** @throws nothing; `read` throws what broke the stream */
export function pulled(stream: ByteStream): SocketStream {
  const chunks: Uint8Array[] = [];
  let waiting = 0;
  let end: { readonly error: Error | null } | null = null;
  let wake = Promise.withResolvers<void>();
  stream.start({
    data(chunk) {
      chunks.push(chunk);
      waiting += chunk.length;
      wake.resolve();
      if (waiting > WAITING_MAX) stream.close();
    },
    closed(error) {
      end = { error };
      wake.resolve();
    },
  });
  return {
    async read() {
      for (;;) {
        const chunk = chunks.shift();
        if (chunk !== undefined) {
          waiting -= chunk.length;
          return chunk;
        }
        if (end !== null) {
          if (end.error !== null) throw end.error;
          return undefined;
        }
        wake = Promise.withResolvers();
        await wake.promise;
      }
    },
    write: (bytes) => stream.write(bytes),
    close: () => stream.close(),
  };
}
