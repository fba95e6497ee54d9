// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It throws, but no errors. */
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    try {
      await good.add(device, signal);
    } catch {
      throw "it did not work";
    }
  },
});
