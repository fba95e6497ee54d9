// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It takes for granted that there is a record. */
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

export default definePlugin({
  ...good,
  async remove(device, signal) {
    if (device.undo["file"] === undefined) throw new Error("there is no record");
    await good.remove(device, signal);
  },
});
