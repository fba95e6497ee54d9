/**
 * A toolstack for dom0 that knows requests only (docs/request-protocol.md): what `core/toolstack/request` offers, as
 * commands. One bundle; xdevd's own binary is the runtime (`BUN_BE_BUN=1`).
 *
 *   setup DRIVER                         grants the driver domain what it needs
 *   attach-disk DRIVER GUEST SPEC...     attaches and waits; prints its backend and what is behind it
 *   attach-vif DRIVER GUEST DEVID ITEM...
 *   detach DRIVER GUEST KIND DEVID
 *   list DRIVER                          a line for each request
 *
 * DRIVER and GUEST are domids. What fails is told in a line, with status 1.
 */
import { connectStore } from "../../../core/cli/connect.ts";
import { backendPath, deviceName } from "../../../core/device/id.ts";
import { parseDisk } from "../../../core/toolstack/disk/parse.ts";
import { parseVdev } from "../../../core/toolstack/disk/vdev.ts";
import { parseNic } from "../../../core/toolstack/nic/parse.ts";
import {
  type DeviceRequest,
  diskRequest,
  nicRequest,
} from "../../../core/toolstack/request/plan.ts";
import { attachByRequest, detachByRequest } from "../../../core/toolstack/request/request.ts";
import { listRequests, setUpRequests } from "../../../core/toolstack/request/setup.ts";
import type { StoreClient } from "../../../core/xenstore/client.ts";

const [command = "", ...args] = process.argv.slice(2);
const { store } = await connectStore(undefined);
try {
  await run(store);
} catch (error) {
  console.error(`request: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  store.close();
}

async function run(store: StoreClient): Promise<void> {
  const [backendDomid = NaN, frontendDomid = NaN] = args.slice(0, 2).map(Number);
  const rest = args.slice(2);
  const place = { backendDomid, frontendDomid };
  switch (command) {
    case "setup":
      return await setUpRequests(store, backendDomid);
    case "attach-disk": {
      const disk = parseDisk(rest);
      return await attach(diskRequest(disk, { ...place, devid: parseVdev(disk.vdev!) }));
    }
    case "attach-vif": {
      const [devid, ...items] = rest;
      const { nic } = parseNic(items);
      const mac = nic.mac!;
      return await attach(nicRequest(nic, { ...place, devid: Number(devid), mac, type: "vif" }));
    }
    case "detach": {
      const [kind = "", devid] = rest;
      return await detachByRequest(store, { ...place, kind, devid: Number(devid) });
    }
    case "list":
      for (const { id, report } of await listRequests(store, backendDomid)) {
        console.log(`${deviceName(id)} ${report.state}`);
      }
      return;
    default:
      throw new Error(`there is no command ${command}`);
  }

  async function attach(request: DeviceRequest): Promise<void> {
    const { state, device, pdev } = await attachByRequest(store, request);
    console.log(`${state} ${device === undefined ? "-" : backendPath(device)} ${pdev ?? "-"}`);
  }
}
