// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It cleans up more than is its own. */
import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { definePlugin } from "xdevd/plugin";
import { good } from "./good.ts";

export default definePlugin({
  ...good,
  async remove({ undo }) {
    if (typeof undo["file"] !== "string") return;
    const directory = dirname(undo["file"]);
    for (const name of await readdir(directory)) {
      if (name.startsWith("made-")) await rm(join(directory, name));
    }
  },
  async check({ undo, system }) {
    return await system.exists(String(undo["file"])) ? null : "its file is gone";
  },
});
