// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It fails when nobody is there to catch it. */
import { definePlugin } from "xdevd/plugin";
import { good } from "../broken/good.ts";

export default definePlugin({
  ...good,
  async remove(device, signal) {
    await good.remove(device, signal);
    setTimeout(() => {
      throw new Error("nobody catches this");
    }, 20);
  },
});
