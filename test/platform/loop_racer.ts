/**
 * Attaches a file to loop devices and detaches it, over and over, in a process of its own; or
 * attaches it once and is killed.
 *
 * Arguments: the file, a beginning for the tags, and how often; 0 for the second.
 */
import { openBlockDevices } from "../../platform/linux/block_devices.ts";

const [path = "", prefix = "", times = "0"] = process.argv.slice(2);
const blocks = await openBlockDevices();
const { identity } = await blocks.describe(path);
const attach = (tag: string) =>
  blocks.attachLoop({ path, expectIdentity: identity, readOnly: true, tag });

if (times === "0") {
  await attach(prefix);
  process.kill(process.pid, "SIGKILL");
}
for (let round = 0; round < Number(times); round++) {
  const tags = [0, 1, 2].map((number) => `${prefix}-${round}-${number}`);
  const taken = await Promise.all(tags.map(attach));
  for (const [index, loop] of taken.entries()) {
    if (loop.tag !== tags[index] || loop.file !== identity) {
      throw new Error(`not mine: ${loop.node}`);
    }
    const end = await blocks.detachLoop(loop.node, loop);
    // Whoever lists loop devices has them open for a moment.
    if (end !== "detached" && end !== "pending") throw new Error(`${loop.node}: ${end}`);
  }
}
