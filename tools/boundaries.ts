/**
 * Who may import whom, as data (docs/architecture.md). `check_imports.ts` holds all files to it,
 * dynamic imports included, and refuses circles between files.
 */

/** Folders that may see the same. */
export interface Floor {
  readonly name: string;
  /**
   * Where its files are: how their paths begin. A file belongs to the longest that fits. On an
   * ordered floor a file sees its own folder, those beside it in a list of their own, and those before.
   */
  readonly folders: readonly (string | readonly string[])[];
  readonly ordered?: boolean;
  /** Floors that its files may import. */
  readonly imports: readonly string[];
  /** Floors of which they may import types, and nothing else. */
  readonly types?: readonly string[];
}

/** From the ground. */
export const FLOORS: readonly Floor[] = [
  { name: "contract", folders: ["contract/"], imports: [] },
  { name: "platform", folders: ["platform/"], imports: ["contract"] },
  {
    name: "core",
    folders: [
      "core/version.ts",
      "core/build_info.ts",
      "core/messages/",
      "core/log/",
      "core/is_there.ts",
      "core/message_pack.ts",
      "core/xen/",
      "core/xenstore/",
      "core/lifecycle/",
      "core/hotplug/",
      "core/requests/protocol/",
      ["core/toolstack/", "core/requests/toolstack/"],
      ["core/daemon/", "core/requests/driver/"],
    ],
    ordered: true,
    imports: ["contract"],
    types: ["platform"],
  },
  { name: "backends", folders: ["backends/", "examples/"], imports: ["contract"] },
  { name: "plugins", folders: ["plugins/"], imports: ["contract", "platform", "core"] },
  { name: "machine", folders: ["machine/"], imports: ["contract", "platform", "core"] },
  {
    name: "simulation",
    folders: ["simulation/"],
    imports: ["contract", "platform", "core", "plugins", "machine"],
  },
  {
    name: "commands",
    folders: ["commands/"],
    imports: ["contract", "platform", "core", "plugins", "machine", "simulation"],
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
      ...["contract", "platform", "core", "plugins", "machine", "simulation", "commands"],
      ...["backends", "program"],
    ],
  },
];

/**
 * Imports that the floors forbid, file by file, until somebody mends them. Nothing is added to it:
 * one that is no longer there, or no longer forbidden, has to go from here.
 */
export const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {};

/** Imports that close a circle, likewise. */
export const CIRCLES: Readonly<Record<string, readonly string[]>> = {};
