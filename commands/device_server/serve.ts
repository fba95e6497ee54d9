/**
 * The process of a device's server: `xdevd device-server SOCKET`, which only the daemon starts. It listens
 * there for the daemon, and for the next one, opens Xen's devices, and then becomes a user of its own.
 */
import type { ServedPlugin } from "../../contract/v2/plugin.ts";
import type { ServerOpener } from "../../contract/v2/server.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import type { ServerCode } from "../../core/daemon/servers/protocol.ts";
import { systemClock } from "../../platform/clock.ts";
import { becomeUser } from "../../platform/drop_rights.ts";
import { statusOf } from "../../platform/io/file_calls.ts";
import { listenUnix } from "../../platform/io/listener.ts";
import { pulled } from "../../platform/io/socket_stream.ts";
import { connectStream } from "../../platform/io/stream.ts";
import { effectiveUid, onTermination } from "../../platform/self.ts";
import { ServerRunner } from "../../plugins/server/runner.ts";

/**
 * Users of servers: one for each guest, so that one that was taken over cannot signal another guest's.
 * Nobody else gives out these numbers (systemd's UIDS-GIDS.md).
 */
const FIRST_USER = 0x7fff_0000;

/** How long it waits for being ended when all is done, in ms. */
const END_MS = 1_000;

/**
 * Serves until it is told to end.
 * @param simulated directory in which guests and grants are files, in place of Xen's; its owner is who the
 *   process becomes
 */
export async function serveDevice(
  [socket, simulated]: readonly [string, string | undefined],
  builtIns: readonly BuiltIn[],
): Promise<void> {
  const { open } = simulated === undefined
    ? await import("../../platform/xen/xen_devices.ts").then((m) => ({ open: m.openXenDevices }))
    : await import("../../simulation/xen/simulated_xen.ts")
      .then((m) => ({ open: () => m.simulatedXen(simulated) }));
  const runner = new ServerRunner({
    clock: systemClock,
    openDevices: () => open(),
    load: (code) => load(code, builtIns),
    dropRights(frontendDomid) {
      const user = simulated === undefined ? FIRST_USER + frontendDomid : statusOf(simulated).uid;
      // A daemon that is not root has nothing to give up.
      if (effectiveUid() === 0 && user !== 0) becomeUser(user);
    },
    connect: async (path) => pulled(await connectStream(path)),
  });
  const told = Promise.withResolvers<void>();
  onTermination(() => {
    told.resolve();
    void runner.quit();
  });
  const owner = effectiveUid();
  const listener = await listenUnix(socket, (stream, uid) => {
    // Its directory is closed to others; this is for one that is not.
    if (uid === null || uid === owner || uid === 0) runner.attach(stream);
    else stream.close();
  });
  await runner.over;
  // The daemon ends it when it has heard that all is done: one that ends before that would seem to have failed.
  systemClock.after(END_MS, told.resolve);
  await told.promise;
  await listener.close().catch(() => {});
}

async function load(
  { origin, manifest }: ServerCode,
  builtIns: readonly BuiltIn[],
): Promise<ServerOpener> {
  if (origin === "built-in") {
    const found = builtIns.find((one) => one.manifest.name === manifest.name)?.openServer;
    if (found === undefined) {
      throw new Error(`plugin ${manifest.name} has no server in this binary`);
    }
    return await found();
  }
  const { loadServedPlugin } = await import("../plugin/set.ts");
  const { openServer } = await loadServedPlugin(origin, manifest) as Partial<ServedPlugin>;
  if (typeof openServer !== "function") {
    throw new Error(
      `plugin ${origin} has no function openServer, though its manifest has a server`,
    );
  }
  return openServer;
}
