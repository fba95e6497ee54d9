/** Domains' nodes in the store, as the toolstack makes them. */
import type { NodeAccess } from "../core/xenstore/access.ts";
import type { StoreClient } from "../core/xenstore/client.ts";
import { domainPath } from "../core/xenstore/paths.ts";
import type { Permission } from "../core/xenstore/permissions.ts";

export interface DomainSpec {
  /** Not 0. */
  readonly domid: number;
  /** By default `domain-N`. */
  readonly name?: string;
  /** Whether it may keep device-model and libxl nodes (`driver_domain=1` in its configuration). */
  readonly driverDomain?: boolean;
}

/** What a domain gets to read in its home, besides the values below; the home itself too. */
const READABLE = ["cpu", "memory", "device", "control"];

/** What is a domain's own there. */
const OWN = [
  "device/suspend/event-channel",
  "control/shutdown",
  "control/feature-poweroff",
  "control/feature-reboot",
  "control/feature-suspend",
  "control/sysrq",
  "data",
  "drivers",
  "feature",
  "attr",
  "error",
];

/** The same, of a driver domain. */
const DRIVER_DOMAINS_OWN = ["libxl", "device-model"];

/** What the guest may expect of the toolstack. */
const FEATURES = ["multiprocessor-suspend", "xs_reset_watches"];

/**
 * Makes the nodes of a PV domain as libxl does (libxl__domain_make in
 * tools/libs/light/libxl_create.c, libxl__build_post in libxl_dom.c), in place of those that there
 * are: its home, its record below `/libxl`, and `/vm`. What tells of a machine (memory, processors,
 * the ring) is left out.
 */
export async function createDomainHome(dom0: StoreClient, spec: DomainSpec): Promise<void> {
  const { domid, name = `domain-${domid}`, driverDomain = false } = spec;
  const home = domainPath(domid);
  const record = `/libxl/${domid}`;
  const uuid = `00000000-0000-0000-0000-${domid.toString(16).padStart(12, "0")}`;
  const vm = `/vm/${uuid}`;
  const hidden: Permission[] = [{ domid: 0, access: "none" }];
  const readable: Permission[] = [...hidden, { domid, access: "read" }];
  const own: Permission[] = [{ domid, access: "none" }];
  await dom0.transaction(async (t) => {
    for (
      const [path, permissions] of [[home, readable], [vm, readable], [record, hidden]] as const
    ) {
      await t.removeOptional(path);
      await makeNode(t, path, permissions);
    }
    await makeNode(t, `${record}/device`, hidden);
    for (const node of READABLE) await makeNode(t, `${home}/${node}`, readable);
    for (const node of OWN) await makeNode(t, `${home}/${node}`, own);
    if (driverDomain) {
      for (const node of DRIVER_DOMAINS_OWN) await makeNode(t, `${home}/${node}`, own);
    }
    await t.write(`${record}/type`, "pv");
    await t.write(`${vm}/uuid`, uuid);
    await t.write(`${vm}/name`, name);
    await t.write(`${home}/vm`, vm);
    await t.write(`${home}/name`, name);
    await t.write(`${home}/domid`, String(domid));
    for (const feature of FEATURES) {
      await t.write(`${home}/control/platform-feature-${feature}`, "1");
    }
  });
}

/** Makes the nodes of domain 0 (tools/helpers/xen-init-dom0.c). */
export async function createDomain0(dom0: StoreClient): Promise<void> {
  const home = domainPath(0);
  await dom0.write(`${home}/domid`, "0");
  await dom0.write(`${home}/name`, "Domain-0");
}

async function makeNode(
  t: NodeAccess,
  path: string,
  permissions: readonly Permission[],
): Promise<void> {
  await t.makeDirectory(path);
  await t.setPermissions(path, permissions);
}
