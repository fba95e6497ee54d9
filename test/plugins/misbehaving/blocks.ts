// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It never returns to the event loop. */
import { definePlugin } from "xdevd/plugin";
import { good } from "../broken/good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    await good.add(device, signal);
    for (;;);
  },
});
