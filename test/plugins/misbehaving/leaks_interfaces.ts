// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** Each add makes an interface; no remove removes it. */
import { definePlugin } from "xdevd/plugin";
import { good } from "../broken/good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    await good.add(device, signal);
    const name = `leak${device.id.devid}`;
    await device.system.run(
      ["/usr/sbin/ip", "link", "add", name, "type", "bridge"],
      signal,
    );
  },
});
