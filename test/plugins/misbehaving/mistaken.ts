// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It has a mistake in it. */
import { definePlugin } from "xdevd/plugin";
import { good } from "../broken/good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    await good.add(device, signal);
    const nothing: { name: string } | undefined = [{ name: "x" }][device.id.devid];
    await device.nodes.write({ name: nothing!.name });
  },
});
