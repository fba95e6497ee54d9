// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It does not wait for what it does. */
import { definePlugin } from "xdevd/plugin";
import { good } from "../broken/good.ts";

export default definePlugin({
  ...good,
  async remove(device, signal) {
    await good.remove(device, signal);
    setTimeout(() => void device.nodes.write({ state: "1" }), 20);
  },
});
