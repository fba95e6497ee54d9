/**
 * Who may import whom, as data (docs/architecture.md). `check_imports.ts` holds all files to it,
 * dynamic imports included, and refuses circles between files.
 */

/** Folders that may see the same. */
export interface Floor {
  readonly name: string;
  /**
   * Where its files are: how their paths begin. A file belongs to the longest that fits. On an
   * ordered floor a file sees its own folder and those before it.
   */
  readonly folders: readonly string[];
  readonly ordered?: boolean;
  /** Floors that its files may import. */
  readonly imports: readonly string[];
  /** Floors of which they may import types, and nothing else. */
  readonly types?: readonly string[];
}

/** From the ground. */
export const FLOORS: readonly Floor[] = [
  { name: "contract", folders: ["plugins/contract"], imports: [] },
  { name: "platform", folders: ["core/platform/"], imports: [], types: ["contract"] },
  {
    name: "core",
    folders: [
      "core/version.ts",
      "core/build_info.ts",
      "core/log/",
      "core/device/",
      "core/xenstore/",
      "core/trust/",
      "core/lifecycle/",
      "core/hotplug/",
      "core/request/",
      "core/toolstack/",
      "core/daemon/",
    ],
    ordered: true,
    imports: ["contract"],
    types: ["platform"],
  },
  { name: "backends", folders: ["backends/", "examples/"], imports: ["contract"] },
  { name: "plugins", folders: ["plugins/"], imports: ["contract", "platform", "core"] },
  {
    name: "simulation",
    folders: ["core/sim/", "core/xenstored/", "core/demo/", "plugins/conformance/"],
    imports: ["contract", "platform", "core", "plugins"],
  },
  {
    name: "commands",
    folders: ["core/multicall/", "core/install/", "core/cli/"],
    imports: ["contract", "platform", "core", "plugins", "simulation"],
  },
  {
    name: "program",
    folders: ["main.ts", "built_in.ts"],
    imports: ["contract", "platform", "core", "plugins", "simulation", "commands", "backends"],
  },
  {
    name: "workshop",
    folders: ["compile/", "tools/", "test/"],
    imports: [
      ...["contract", "platform", "core", "plugins", "simulation", "commands", "backends"],
      "program",
    ],
  },
];

/**
 * Imports that the floors forbid, file by file, until somebody mends them. Nothing is added to it:
 * one that is no longer there, or no longer forbidden, has to go from here.
 */
export const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  "core/daemon/daemon.ts": ["plugins/registry.ts"],
  "core/daemon/device_actions.ts": [
    "plugins/host/guard.ts",
    "plugins/host/host.ts",
    "plugins/manifest.ts",
  ],
  "core/daemon/device_context.ts": ["plugins/host/device_config.ts"],
  "core/daemon/device_directories.ts": ["core/platform/system_error.ts"],
  "core/daemon/devices.ts": ["plugins/host/host.ts", "plugins/manifest.ts", "plugins/registry.ts"],
  "core/daemon/hotplug_locks.ts": ["core/platform/flock.ts"],
  "core/daemon/journal/format.ts": ["core/platform/checksum.ts"],
  "core/daemon/requests/requests.ts": ["plugins/registry.ts"],
  "core/daemon/system_parts.ts": [
    "core/platform/block_devices.ts",
    "core/platform/clock.ts",
    "core/platform/files.ts",
    "core/platform/log_tail.ts",
    "core/platform/network_links.ts",
    "core/platform/process_table.ts",
    "core/platform/child.ts",
  ],
  "core/demo/demo.ts": ["core/cli/connect.ts", "core/cli/exit_codes.ts"],
  "core/demo/real_machine.ts": ["core/cli/exit_codes.ts"],
  "core/platform/netlink/address.ts": ["plugins/contract_ip_address.ts"],
  "core/platform/netlink/route.ts": ["plugins/contract_ip_address.ts"],
  "core/platform/network_links.ts": [
    "plugins/contract_interface_name.ts",
    "plugins/contract_ip_address.ts",
  ],
  "plugins/conformance/rig.ts": ["core/cli/connect.ts"],
};

/** Imports that close a circle, likewise. */
export const CIRCLES: Readonly<Record<string, readonly string[]>> = {
  "core/cli/device_detach.ts": ["core/cli/request.ts"],
  "core/daemon/hotplug_v2.ts": ["core/daemon/hotplug_scripts.ts"],
  "core/daemon/hotplug_v2_parts.ts": ["core/daemon/hotplug_scripts.ts"],
  "core/lifecycle/table.ts": ["core/lifecycle/machine.ts"],
  "core/lifecycle/trouble.ts": ["core/lifecycle/machine.ts"],
};
