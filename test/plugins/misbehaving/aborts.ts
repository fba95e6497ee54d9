// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It brings the process down. */
import { definePlugin } from "xdevd/plugin";
import { good } from "../broken/good.ts";

export default definePlugin({
  ...good,
  async add() {
    process.abort();
  },
});
