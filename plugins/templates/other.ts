// xdevd-plugin: {"name":"my-backend","version":"0.1.0","api":1,"kinds":["my-kind"],"sample":{"backend":{"size":"4"}}}
/**
 * The backend kind my-kind. It makes a file of `size` KiB and says that it is ready: put what your
 * kind does in its place.
 *
 *   xdevd plugin check ./my-backend.ts
 *   xdevd devd -F --plugin ./my-backend.ts --kind my-kind=my-backend
 */
import { rm, writeFile } from "node:fs/promises";
import { definePlugin } from "xdevd/plugin";

export default definePlugin({
  // The same as in the first line, which is read before any code runs.
  name: "my-backend",
  version: "0.1.0",
  api: 1,
  kinds: ["my-kind"],

  async add(device, signal) {
    const config = await device.config();
    const size = config.integer("size", { min: 1, max: 1024 });
    const file = `${await device.directories.state()}/content`;
    // First the record, then the deed: whenever the daemon dies, it knows what to undo.
    await device.recordUndo({ file });
    signal.throwIfAborted();
    await writeFile(file, new Uint8Array(size * 1024));
    await device.nodes.write({ "hotplug-status": "connected" });
  },

  async remove(device) {
    // Of the record alone: the nodes, and this program's memory, may be gone by now.
    const { file } = device.undo;
    if (typeof file === "string") await rm(file, { force: true });
  },

  async check(device) {
    const { file } = device.undo;
    if (typeof file !== "string" || await device.system.exists(file)) return null;
    return `its file ${file} is gone`;
  },
});
