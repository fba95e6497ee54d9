// xdevd-plugin: {"name":"my-backend","version":"0.1.0","api":1,"kinds":["my-kind"],"sample":{"backend":{"size":"4"}}}
// @ts-check
/**
 * The backend kind my-kind. It makes a file of `size` KiB and says that it is ready: put what your
 * kind does in its place. It imports nothing but xdevd/plugin, so it runs as it is, on any build of xdevd.
 *
 *   xdevd plugin check ./my-backend.js
 *   xdevd devd -F --plugin ./my-backend.js --kind my-kind=my-backend
 */
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
    await device.system.run(["/usr/bin/truncate", "--size", `${size}K`, file], signal);
    await device.nodes.write({ "hotplug-status": "connected" });
  },

  async remove(device, signal) {
    // Of the record alone: the nodes, and this program's memory, may be gone by now.
    const { file } = device.undo;
    if (typeof file === "string") await device.system.run(["/bin/rm", "-f", file], signal);
  },

  async check(device) {
    const { file } = device.undo;
    if (typeof file !== "string" || await device.system.exists(file)) return null;
    return `its file ${file} is gone`;
  },
});
