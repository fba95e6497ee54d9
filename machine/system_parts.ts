/** The parts of a daemon that are the machine's, and the same for every daemon on it. */
import { storage } from "../platform/storage.ts";
import { lacksDescriptors } from "../platform/linux/descriptor_reserve.ts";
import { systemNetworkLinks } from "../platform/linux/network_links.ts";
import { systemClock } from "../platform/clock.ts";
import { systemFiles, targetFilesBeside } from "../platform/io/files.ts";
import { keptOf, KeptStore, STATE_DIRECTORY } from "../platform/io/kept_directories.ts";
import { systemProcessTable } from "../platform/linux/process_table.ts";
import { HelperLog } from "../core/hotplug/run_script.ts";
import { systemLogTails } from "../platform/io/log_tail.ts";
import { systemProcesses } from "../platform/io/child.ts";
import type { StoreClient } from "../core/xenstore/client.ts";
import { ChildKeeper } from "../core/daemon/capabilities/children.ts";
import type { ActionParts } from "../core/daemon/device/device_actions.ts";
import { DeviceModels } from "../core/daemon/capabilities/device_models.ts";
import { DeviceServers } from "../core/daemon/servers/device_servers.ts";
import { connectStream } from "../platform/io/stream.ts";
import { environment, selfCommand } from "../platform/self.ts";
import { Exclusive } from "../core/daemon/capabilities/exclusive.ts";
import { Prefetch } from "../core/daemon/device/prefetch.ts";
import { HotplugDirectories } from "../core/daemon/capabilities/hotplug_directory.ts";
import { Orphans } from "../core/daemon/device/orphans.ts";
import { Releases } from "../core/daemon/releases.ts";
import { Slots } from "../core/daemon/slots.ts";

/** A directory in which guests and grants are files: servers are tried there without Xen (docs/plugins.md). */
const SIMULATED_XEN = "XDEVD_SIMULATED_XEN";

/**
 * All but what differs: journal, directories, times, scripts.
 * @param scriptDirectories where scripts lie that may be run
 * @param stateDirectory what outlives a restart of the machine is below it
 */
export function systemParts(
  store: StoreClient,
  scriptDirectories: readonly string[] = [],
  stateDirectory = STATE_DIRECTORY,
): Omit<ActionParts, "journal" | "directories" | "calls" | "scripts"> {
  const simulated = environment(SIMULATED_XEN);
  return {
    store,
    clock: systemClock,
    files: targetFilesBeside(scriptDirectories),
    processes: systemProcesses,
    helperLog: new HelperLog(systemLogTails),
    slots: new Slots(),
    prefetch: new Prefetch(),
    orphans: new Orphans(systemProcessTable, systemClock),
    exclusive: new Exclusive(),
    releases: new Releases(),
    hotplug: new HotplugDirectories(store),
    lacksDescriptors,
    blocks: storage.blocks,
    links: systemNetworkLinks,
    kept: (plugin, holder) => keptOf(new KeptStore(`${stateDirectory}/${plugin}`), holder),
    children: new ChildKeeper(systemProcesses, systemProcessTable, systemClock),
    servers: new DeviceServers({
      store,
      clock: systemClock,
      command: selfCommand(),
      connect: connectStream,
      files: systemFiles,
      ...(simulated === undefined ? {} : { simulated }),
    }),
    deviceModels: new DeviceModels(store, systemProcesses, systemProcessTable, systemClock),
  };
}
