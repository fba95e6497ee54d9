/** Which script it is that sets a device up. */

/** A script's name without its directory: a node without a slash names one of Xen's. */
export function nameOf(script: string): string {
  return script.slice(script.lastIndexOf("/") + 1);
}

/** Whether it is Xen's own `block`, of which is known what it makes of which target. */
export function isXenBlock(script: string): boolean {
  return nameOf(script) === "block";
}
