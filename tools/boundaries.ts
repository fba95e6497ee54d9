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
  { name: "platform", folders: ["platform/"], imports: [], types: ["contract"] },
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
      "core/requests/protocol/",
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
    folders: ["simulation/", "simulation/xenstored/", "simulation/demo/", "simulation/plugin_check/"],
    imports: ["contract", "platform", "core", "plugins"],
  },
  {
    name: "commands",
    folders: ["commands/store/tools/", "commands/install/", "commands/"],
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
  "core/daemon/daemon.ts": ["core/daemon/plugin/registry.ts"],
  "core/daemon/device/device_actions.ts": [
    "core/daemon/plugin/guard.ts",
    "core/daemon/plugin/host.ts",
    "core/daemon/plugin/manifest.ts",
  ],
  "core/daemon/capabilities/device.ts": ["core/daemon/plugin/device_config.ts"],
  "core/daemon/capabilities/directories.ts": ["platform/system_error.ts"],
  "core/daemon/devices.ts": ["core/daemon/plugin/host.ts", "core/daemon/plugin/manifest.ts", "core/daemon/plugin/registry.ts"],
  "core/daemon/capabilities/hotplug_locks.ts": ["platform/io/flock.ts"],
  "core/daemon/journal/format.ts": ["platform/checksum.ts"],
  "core/requests/driver/requests.ts": ["core/daemon/plugin/registry.ts"],
  "machine/system_parts.ts": [
    "platform/linux/block_devices.ts",
    "platform/clock.ts",
    "platform/io/files.ts",
    "platform/io/log_tail.ts",
    "platform/linux/network_links.ts",
    "platform/linux/process_table.ts",
    "platform/io/child.ts",
  ],
  "simulation/demo/demo.ts": ["machine/connect.ts", "core/exit_codes.ts"],
  "simulation/demo/real_machine.ts": ["core/exit_codes.ts"],
  "platform/linux/netlink/address.ts": ["contract/v1/ip_address.ts"],
  "platform/linux/netlink/route.ts": ["contract/v1/ip_address.ts"],
  "platform/linux/network_links.ts": [
    "contract/v1/interface_name.ts",
    "contract/v1/ip_address.ts",
  ],
  "simulation/plugin_check/rig.ts": ["machine/connect.ts"],
};

/** Imports that close a circle, likewise. */
export const CIRCLES: Readonly<Record<string, readonly string[]>> = {
  "commands/device/detach.ts": ["commands/request/request.ts"],
  "core/daemon/capabilities/scripts_v2.ts": ["core/daemon/capabilities/scripts.ts"],
  "core/daemon/capabilities/scripts_v2_parts.ts": ["core/daemon/capabilities/scripts.ts"],
  "core/lifecycle/table.ts": ["core/lifecycle/machine.ts"],
  "core/lifecycle/trouble.ts": ["core/lifecycle/machine.ts"],
};
