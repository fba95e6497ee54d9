/** An interface that only passes frames on: a port of a bridge or switch. */
import type { Task } from "./task.ts";

/**
 * The MAC address of ports: the highest of one station. A bridge takes the lowest address of its
 * ports for its own; it shall not be that of a guest's, which comes and goes.
 */
const PORT_MAC = "fe:ff:ff:ff:ff:ff";

/** Takes the interface down, and its addresses from it. @param addresses those that it has */
export async function makePort(task: Task, addresses: readonly string[]): Promise<void> {
  const { links, name, link, device } = task;
  if (link.up) await links.setDown(name);
  try {
    if (link.mac !== PORT_MAC) await links.setMac(name, PORT_MAC);
  } catch (error) {
    // Not every driver can change it, and it works without, if less well.
    device.log.warning((error as Error).message);
  }
  for (const address of addresses) {
    await links.removeAddress(name, address).catch((error: { code?: string }) => {
      // The kernel itself drops those of IPv6 when the interface goes down.
      if (error.code !== "EADDRNOTAVAIL") throw error;
    });
  }
}
