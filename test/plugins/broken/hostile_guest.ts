// xdevd-plugin: {"name":"broken","version":"1","api":2,"kinds":["broken"],"server":{"pages":[{"references":["ring-ref"],"access":"write"}]}}
/** Its server believes its guest, and ends when that lies. */
import process from "node:process";
import { defineServedPlugin } from "xdevd/plugin";

export default defineServedPlugin({
  name: "broken",
  version: "1",
  api: 2,
  kinds: ["broken"],
  server: { pages: [{ references: ["ring-ref"], access: "write" }] },
  async add(device, signal) {
    await device.server.start({}, signal);
  },
  async remove() {},
  async openServer() {
    return {
      async serve({ memory: [shared], events }) {
        do {
          if (shared!.read32(0) > 1000) process.exit(3);
        } while (await events.wait());
      },
    };
  },
});
