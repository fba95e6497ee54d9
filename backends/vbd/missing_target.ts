/** What Debian's `block` keeps to itself: that its target does not exist. */
import type { Device } from "../../contract/v1/plugin.ts";
import { isXenBlock } from "./script.ts";

import { shown } from "./request.ts";

/**
 * Says so, and what was looked for; empty when it exists, cannot be looked for now, or is none that Xen's own script would
 * look for in this way: names that are no absolute path are in `/dev`.
 */
export async function targetIfMissing(
  device: Device,
  script: string,
  params: string,
): Promise<string> {
  if (!isXenBlock(script) || params === "") return "";
  const path = params.startsWith("/") ? params : `/dev/${params}`;
  const exists = await device.system.exists(path).catch(() => true);
  if (exists) return "";
  return params === path
    ? `${shown(params)} does not exist`
    : `${shown(params)} does not exist: looked for ${shown(path)}`;
}
