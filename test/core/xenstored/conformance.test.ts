/** The embedded server against the suite that Debian's passes as well. */
import { conformance } from "../../conformance/suite.ts";
import { startEmbeddedStore } from "../../support/embedded_store.ts";

conformance("the embedded server", async () => {
  const store = await startEmbeddedStore([]);
  return { ...store, shutdown: async (domid) => store.server.shutDown(domid) };
});
