// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It takes what the nodes say for what it expects. */
import { writeFile } from "node:fs/promises";
import { definePlugin } from "xdevd/plugin";
import { fileOf, good } from "./good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    if (await device.nodes.read("params") !== "usual") {
      await writeFile(`${await fileOf(device)}-odd`, "");
    }
    await good.add(device, signal);
  },
});
