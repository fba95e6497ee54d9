// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It cleans up after its failures by itself; who is dead cannot. */
import { rm, writeFile } from "node:fs/promises";
import { definePlugin } from "xdevd/plugin";
import { fileOf, good } from "./good.ts";

export default definePlugin({
  ...good,
  async add(device) {
    const file = await fileOf(device);
    await device.recordUndo({ begun: true });
    await writeFile(file, "");
    try {
      await device.recordUndo({ file });
    } catch (error) {
      await rm(file);
      throw error;
    }
  },
});
