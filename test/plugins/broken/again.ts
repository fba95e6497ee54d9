// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It remembers devices, and does not forget them. */
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

const known = new Set<number>();

export default definePlugin({
  ...good,
  async add(device, signal) {
    if (known.has(device.id.devid)) throw new Error("there is such a device already");
    known.add(device.id.devid);
    await good.add(device, signal);
  },
});
