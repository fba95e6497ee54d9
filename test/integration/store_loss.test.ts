/** The store goes away and comes back empty: the daemon waits, cleans up, and serves again. */
import { expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DaemonProcess, programCommand } from "../support/daemon_process.ts";
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

const ID = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };

test("a store that dies under the daemon, and its successor", async () => {
  const directory = await mkdtemp(join(tmpdir(), "xdevd-loss-"));
  const scripts = join(directory, "scripts");
  await mkdir(scripts, { mode: 0o755 });
  const script = join(scripts, "script");
  const write = `${programCommand().join(" ")} store write`;
  // A major number that no driver has: tests beside this one use loop devices.
  await writeFile(
    script,
    `#!/bin/sh
echo "$1" >> ${directory}/calls
[ "$1" = remove ] || exec ${write} "$XENBUS_PATH/physical-device" 3f:0
`,
  );
  await chmod(script, 0o755);

  const first = await startEmbeddedStore([1, 7], {}, join(directory, "store"));
  const attach = async (store: typeof first) => {
    const dom0 = await connectTo(store.socketPath(0));
    await makeDomain(dom0, 1);
    await makeDomain(dom0, 7);
    const device = new HandMadeDevice(dom0, ID);
    await device.create({ script });
    await device.write("state", "2");
    return { dom0, device };
  };
  const before = await attach(first);
  const daemon = await DaemonProcess.start([
    ...["--store", first.socketPath(1), "--scripts", scripts],
    ...["--run-dir", join(directory, "run")],
  ]);
  await daemon.says(/vbd\/7\/51712\): connected/);
  before.dom0.close();
  await first.stop();
  await daemon.says(/the store went away.*waiting for it to return/);
  expect(daemon.running).toBeTrue();

  const second = await startEmbeddedStore([1, 7], {}, join(directory, "store"));
  await daemon.says(/the store is back/);
  await daemon.says(/its directory was deleted: removing by force/);
  // Before there is a domain in whose home a copy could be made for the script.
  await daemon.says(/undoing it failed, and is tried again/);
  const after = await attach(second);
  await daemon.says(/connected[^]*store is back[^]*vbd\/7\/51712\): connected/);
  await after.device.detach();
  await after.device.gone();
  expect(await daemon.stop()).toBe(0);
  // It was undone as soon as there was a domain again, before the next one was set up.
  expect(await readFile(join(directory, "calls"), "utf8")).toBe("add\nremove\nadd\nremove\n");
  after.dom0.close();
  await second.stop();
  await rm(directory, { recursive: true });
});
