// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** Its code is another version than its manifest says. */
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

export default definePlugin({
  ...good,
  version: "2",
});
