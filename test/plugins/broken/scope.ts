// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It writes where it has no business. */
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    await good.add(device, signal);
    await device.nodes.write({ "../../../note": "hello" }).catch(() => {});
  },
});
