// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It goes on when it has said that it is done. */
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    await good.add(device, signal);
    setTimeout(() => device.nodes.read("params").catch(() => {}), 50);
  },
});
