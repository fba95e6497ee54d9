// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It takes for granted that there is something to remove. */
import { rm } from "node:fs/promises";
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

export default definePlugin({
  ...good,
  async remove(device) {
    const { file } = device.undo;
    if (typeof file === "string") await rm(file);
  },
});
