/** Scripts that end well without saying so in `hotplug-status`, which kernel and toolstack wait for. */
import type { Device } from "../../contract/v1/plugin.ts";

/** Scripts of which that was told. */
const told = new Set<string>();

/** Most of them that are remembered: their paths come from the toolstack. */
const TOLD_MAX = 1_000;

/** Whether a script has said how it went; what else it left in the node is as good as nothing. */
export function hasSpoken(status: string | undefined): boolean {
  return status === "connected" || status === "error" || status === "busy";
}

/**
 * Says it in the script's place, and tells of it once a script for as long as the daemon runs.
 * @param nodes to be written besides
 * @param lacking what else seems to be missing, in words
 */
export async function speakFor(
  device: Device,
  script: string,
  nodes: Readonly<Record<string, string>> = {},
  lacking: readonly string[] = [],
): Promise<void> {
  await device.nodes.write({ ...nodes, "hotplug-status": "connected" });
  if (told.has(script) || told.size >= TOLD_MAX) return;
  told.add(script);
  const but = lacking.length === 0 ? "" : `; but ${lacking.join(", and ")}`;
  device.log.warning(
    `script ${script} succeeded without hotplug-status: connected is written in its place${but} ` +
      "(said once for this script) [script-without-status]",
  );
}
