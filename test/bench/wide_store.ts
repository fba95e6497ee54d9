/**
 * `bun wide_store.ts DIRECTORY DOMID…`: the embedded store, in a process of its own, with room for
 * thousands of devices in one domain. Prints `ready` when all domains have their sockets.
 */
import { startEmbeddedStore } from "../support/embedded_store.ts";

const [directory, ...domids] = process.argv.slice(2);
await startEmbeddedStore(
  domids.map(Number),
  { quotas: { nodes: 0, nodeSize: 0 } },
  directory,
);
console.log("ready");
