/** Giving an interface back as it was found. */
import type {
  LinkError,
  LinkSwitch,
  NetworkLink,
  NetworkLinks,
} from "../../contract/v1/network.ts";
import type { VifUndo } from "./undo.ts";

/**
 * Undoes everything, but for routes that it had and that ended when it was set down: netback's
 * interfaces have none. Goes on when a part of it fails.
 * @param link the interface as it is now
 * @returns what failed
 */
export async function restoreLink(
  links: NetworkLinks,
  undo: VifUndo,
  link: NetworkLink,
): Promise<Error[]> {
  const { name } = link;
  const failures: Error[] = [];
  /** @param done codes that say that it was undone already */
  const attempt = async (work: Promise<void>, ...done: string[]) => {
    try {
      await work;
    } catch (error) {
      // Without an interface there is nothing to undo.
      const { code } = error as LinkError;
      if (code !== "ENODEV" && !done.includes(code)) failures.push(error as Error);
    }
  };
  for (const route of undo.routes) await attempt(links.removeRoute(name, route), "ESRCH");
  for (const address of undo.given) {
    await attempt(links.removeAddress(name, address), "EADDRNOTAVAIL");
  }
  for (const which of undo.switchedOn) {
    await attempt(links.writeSwitch(name, which as LinkSwitch, false));
  }
  // Names and addresses are changed of interfaces that are down.
  const mustBeDown = !undo.up || name !== undo.from || (undo.mac !== "" && link.mac !== undo.mac);
  if (link.up && mustBeDown) await attempt(links.setDown(name));
  if (link.master !== undo.master) await leave(links, undo, link, attempt);
  if (undo.mac !== "" && link.mac !== undo.mac) await attempt(links.setMac(name, undo.mac));
  if (undo.mtu !== 0 && link.mtu !== undo.mtu) await attempt(links.setMtu(name, undo.mtu));
  for (const address of undo.taken) await attempt(links.addAddress(name, address), "EEXIST");
  if (name !== undo.from) await attempt(links.rename(name, undo.from));
  if (undo.up && (mustBeDown || !link.up)) await attempt(links.setUp(undo.from));
  return failures;
}

/** Leaves the bridge that was joined; one that somebody else put it into is none of ours. */
async function leave(
  links: NetworkLinks,
  undo: VifUndo,
  { name, master }: NetworkLink,
  attempt: (work: Promise<void>) => Promise<void>,
): Promise<void> {
  if (undo.joined === "" || (master !== null && master !== undo.joined)) return;
  if (undo.master !== "") await attempt(links.addToBridge(undo.master, name));
  else if (master !== null) await attempt(links.removeFromBridge(name));
}
