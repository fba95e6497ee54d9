/** What Debian's `block` keeps to itself: that its target does not exist. */
import type { Device } from "../../plugins/contract.ts";

/** How much of a target a message shows, in characters. */
const TOLD_LENGTH = 200;

/**
 * A line's end that says so; empty when it exists, cannot be looked for now, or is none that Xen's own script would look
 * for in this way: names without a slash are in `/dev`.
 */
export async function targetIfMissing(
  device: Device,
  script: string,
  params: string,
): Promise<string> {
  if (script.slice(script.lastIndexOf("/") + 1) !== "block" || params === "") return "";
  const path = params.startsWith("/") ? params : `/dev/${params}`;
  const exists = await device.system.exists(path).catch(() => true);
  return exists ? "" : `: ${JSON.stringify(path.slice(0, TOLD_LENGTH))} does not exist`;
}
