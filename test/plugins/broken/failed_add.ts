// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It is in a state that remove does not know when something fails. */
import { writeFile } from "node:fs/promises";
import { definePlugin } from "xdevd/plugin";
import { fileOf, good } from "./good.ts";

export default definePlugin({
  ...good,
  async add(device) {
    const file = await fileOf(device);
    await device.recordUndo({ begun: true });
    await writeFile(file, "");
    await device.nodes.write({ "hotplug-status": "connected" });
    await device.recordUndo({ file });
  },
});
