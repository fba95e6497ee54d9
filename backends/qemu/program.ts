/** How a guest's QEMU is started. Pure. */
import type { DeviceModelProgram, Setting } from "../../contract/v1/plugin.ts";
import { DEFAULT_BINARY } from "./manifest.ts";

/** Kinds for which a QEMU is started (libxl_device.c, `add_device`). */
const ALWAYS: readonly string[] = ["qdisk", "9pfs"];

/** Kinds for which one is started if a setting says so. */
const ON_REQUEST: readonly string[] = ["qusb", "vkbd", "vfb"];

/** How much a guest may have QEMU print about its console, in bytes (libxl_dm.c, XSA-180). */
const CONSOLE_LIMIT = "1048576";

type Settings = Readonly<Record<string, Setting>>;

/**
 * The program for a guest, as libxl would start it (libxl_dm.c, `libxl__spawn_qdisk_backend`).
 * @throws Error that names the setting, its value, and what would be accepted
 */
export function programOf(settings: Settings, frontendDomid: number): DeviceModelProgram {
  const user = textSetting(settings, "user");
  if (user !== null && !/^[a-z_0-9][\w.:-]{0,63}$/i.test(user)) {
    throw refusal("user", settings, "the name of a user, or UID:GID");
  }
  return {
    argv: [
      binaryOf(settings),
      "-xen-domid",
      String(frontendDomid),
      "-xen-attach",
      "-name",
      `domain-${frontendDomid}`,
      "-nographic",
      "-M",
      "xenpv",
      "-monitor",
      "/dev/null",
      "-serial",
      "/dev/null",
      "-parallel",
      "/dev/null",
      ...(user === null ? [] : ["-runas", user]),
      ...listSetting(settings, "arguments"),
    ],
    environment: { XEN_QEMU_CONSOLE_LIMIT: CONSOLE_LIMIT },
  };
}

/** QEMU's program. @throws Error unless the setting is an absolute path */
export function binaryOf(settings: Settings): string {
  const binary = textSetting(settings, "binary") ?? DEFAULT_BINARY;
  if (!binary.startsWith("/")) throw refusal("binary", settings, "an absolute path");
  return binary;
}

/** Whether a kind needs a QEMU of ours. @throws Error when setting `serve` makes no sense */
export function isServed(settings: Settings, kind: string): boolean {
  const also = listSetting(settings, "serve");
  if (!also.every((one) => ON_REQUEST.includes(one))) {
    throw refusal("serve", settings, `a list of some of ${ON_REQUEST.join(", ")}`);
  }
  return ALWAYS.includes(kind) || also.includes(kind);
}

function textSetting(settings: Settings, name: string): string | null {
  const value = settings[name];
  if (value === undefined || value === "") return null;
  if (typeof value !== "string") throw refusal(name, settings, "a text");
  return value;
}

function listSetting(settings: Settings, name: string): readonly string[] {
  const value = settings[name] ?? [];
  // On a command line there are no lists.
  if (typeof value === "string") return value.split(" ").filter((word) => word !== "");
  if (!Array.isArray(value)) throw refusal(name, settings, "a list of texts");
  return value;
}

function refusal(name: string, settings: Settings, accepted: string): Error {
  const shown = JSON.stringify(settings[name]).slice(0, 60);
  return new Error(`setting ${name} of plugin qemu is ${shown}; expected ${accepted}`);
}
