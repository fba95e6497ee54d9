// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It remembers what it should have recorded. */
import { rm, writeFile } from "node:fs/promises";
import { definePlugin } from "xdevd/plugin";
import { fileOf, good } from "./good.ts";

const files = new Map<number, string>();

export default definePlugin({
  ...good,
  async add(device) {
    const file = await fileOf(device);
    await device.recordUndo({ added: true });
    files.set(device.id.devid, file);
    await writeFile(file, "");
  },
  async remove({ id }) {
    const file = files.get(id.devid);
    if (file !== undefined) await rm(file, { force: true });
  },
});
