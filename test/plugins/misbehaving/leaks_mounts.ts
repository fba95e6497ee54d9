// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** Each add attaches a loop device and mounts a file system from memory; no remove undoes it. */
import { mkdir, writeFile } from "node:fs/promises";
import { definePlugin } from "xdevd/plugin";
import { good } from "../broken/good.ts";

export default definePlugin({
  ...good,
  async add(device, signal) {
    const directory = await device.directories.state();
    await writeFile(`${directory}/disk`, new Uint8Array(1024 * 1024));
    await device.system.run(["/usr/sbin/losetup", "--find", `${directory}/disk`], signal);
    await mkdir(`${directory}/mounted`, { recursive: true });
    await device.system.run(
      ["/usr/bin/mount", "-t", "tmpfs", "leak", `${directory}/mounted`],
      signal,
    );
    // A file in there, with a loop device of its own, and files from elsewhere within reach. NEVER the
    // machine's own (/etc): a removal that does not stop at a mount would delete them. It did, here.
    await writeFile(`${directory}/mounted/disk`, new Uint8Array(1024 * 1024));
    await device.system.run(["/usr/sbin/losetup", "--find", `${directory}/mounted/disk`], signal);
    await mkdir(`${directory}/aside`, { recursive: true });
    await mkdir(`${directory}/mounted/aside`, { recursive: true });
    await device.system.run(
      ["/usr/bin/mount", "--bind", `${directory}/aside`, `${directory}/mounted/aside`],
      signal,
    );
    await good.add(device, signal);
  },
});
