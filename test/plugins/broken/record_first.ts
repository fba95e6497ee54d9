// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It records what it did, and not what it is going to do. */
import { writeFile } from "node:fs/promises";
import { definePlugin } from "xdevd/plugin";
import { fileOf, good } from "./good.ts";

export default definePlugin({
  ...good,
  async add(device) {
    const file = await fileOf(device);
    await writeFile(file, "");
    await device.recordUndo({ file });
  },
});
