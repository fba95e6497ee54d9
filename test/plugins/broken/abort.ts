// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It hopes that what failed will be mended, and does not see that nobody waits. */
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    try {
      await good.add(device, signal);
    } catch {
      await new Promise(() => {});
    }
  },
});
