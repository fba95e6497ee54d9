// xdevd-plugin: {"name":"random","version":"1.0.0","api":2,"kinds":["vrng"],"description":"random numbers for guests, over a ring","server":{"features":{"feature-random":"1"},"pages":[{"references":["ring-ref"],"access":"write"}]},"sample":{"backend":{"handle":"0"}}}
/**
 * Random numbers for guests: a whole userspace backend, explained in docs/plugins.md. The guest shares a
 * ring of one page. A request is its number (8 bytes) and how many bytes it wants (4 bytes), a response
 * that number, how many there are (4 bytes; -1: refused), and up to 48 random bytes.
 */
import { BackRing, type Connection, defineServedPlugin } from "xdevd/plugin";

const REQUEST_BYTES = 12;
const [RESPONSE_BYTES, RANDOM_MAX] = [60, 48];

export default defineServedPlugin({
  name: "random",
  version: "1.0.0",
  api: 2,
  kinds: ["vrng"],
  server: {
    features: { "feature-random": "1" },
    pages: [{ references: ["ring-ref"], access: "write" }],
  },

  async add(device, signal) {
    const config = await device.config();
    await device.server.start({
      most: config.integer("most", { min: 1, max: RANDOM_MAX, otherwise: RANDOM_MAX }),
    }, signal);
  },

  // Its server ends by itself.
  async remove() {},

  async openServer({ given, log }) {
    const most = Number(given["most"]);
    let answered = 0;
    return {
      serve: (connection) => serve(connection, most, () => answered++),
      async end() {
        log.info(`${answered} requests were answered`);
      },
    };
  },
});

async function serve(connection: Connection, most: number, answered: () => void): Promise<void> {
  const ring = new BackRing(connection.memory[0]!, {
    requestBytes: REQUEST_BYTES,
    responseBytes: RESPONSE_BYTES,
  });
  do {
    // No more than there can be at a time: a guest may write requests as fast as they are answered.
    for (let count = 0; count < ring.size; count++) {
      const request = ring.take();
      if (request === null) break;
      ring.respond(responseTo(request, connection.closing.aborted ? 0 : most));
      answered();
    }
    if (ring.push()) connection.events.notify();
  } while (await (ring.hasMore() ? connection.events.turn() : connection.events.wait()));
}

/** @param request a copy: what the guest writes now does not matter any more */
function responseTo(request: Uint8Array, most: number): Uint8Array {
  const wanted = new DataView(request.buffer).getUint32(8, true);
  const response = new Uint8Array(RESPONSE_BYTES);
  response.set(request.subarray(0, 8));
  const count = wanted >= 1 && wanted <= most ? wanted : -1;
  new DataView(response.buffer).setInt32(8, count, true);
  if (count > 0) crypto.getRandomValues(response.subarray(12, 12 + count));
  return response;
}
