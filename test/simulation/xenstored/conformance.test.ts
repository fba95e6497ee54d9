/** The embedded server against the suite that Debian's passes as well. */
import { streamPair } from "../../../simulation/xenstored/in_process.ts";
import { conformance } from "../../conformance/suite.ts";
import { startEmbeddedStore } from "../../support/embedded_store.ts";

async function start() {
  const store = await startEmbeddedStore([]);
  return { ...store, shutdown: async (domid: number) => store.server.shutDown(domid) };
}

conformance("the embedded server", start);

conformance("the embedded server, in process", async () => {
  const store = await start();
  return {
    ...store,
    connect(domid) {
      const [client, served] = streamPair();
      store.server.accept(served, domid);
      return client;
    },
  };
});
