// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** Nothing is wrong with this one; the others each have one thing that is. */
import { rm, writeFile } from "node:fs/promises";
import { definePlugin, type Device } from "xdevd/plugin";

/** The file that stands for whatever a backend acquires. */
export async function fileOf(device: Device): Promise<string> {
  const target = (await device.config()).text("target");
  if (!/^\/[\w./-]{1,200}$/.test(target)) {
    throw new Error(`node target is ${JSON.stringify(target.slice(0, 40))}; expected a path`);
  }
  return `${target}-${device.id.devid}`;
}

export const good = definePlugin({
  name: "broken",
  version: "1",
  api: 1,
  kinds: ["broken"],

  async add(device) {
    const file = await fileOf(device);
    await device.recordUndo({ file });
    await writeFile(file, "");
    await device.nodes.write({ "hotplug-status": "connected" });
  },

  async remove(device) {
    const { file } = device.undo;
    if (typeof file === "string") await rm(file, { force: true });
  },
});

export default good;
