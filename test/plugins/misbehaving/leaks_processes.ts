// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** Each add starts a process that hides: a session of its own, an empty environment. */
import { spawn } from "node:child_process";
import { definePlugin } from "xdevd/plugin";
import { good } from "../broken/good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    await good.add(device, signal);
    spawn("/bin/sh", ["-c", "/usr/bin/setsid /bin/sleep 987654 &"], { env: {}, stdio: "ignore" });
  },
});
