// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It takes a remove that failed for one that was done. */
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

export default definePlugin({
  ...good,
  async remove(device, signal) {
    if (device.undo["removed"]) return;
    await device.recordUndo({ removed: true });
    await device.nodes.remove("hotplug-status");
    await good.remove(device, signal);
  },
});
