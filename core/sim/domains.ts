/** A domain's home in the store, as libxl makes it (tools/libs/light/libxl_create.c). */
import type { StoreClient } from "../xenstore/client.ts";
import { domainPath } from "../xenstore/paths.ts";
import type { Permission } from "../xenstore/permissions.ts";

/** What a domain is to be. */
export interface DomainSpec {
  readonly domid: number;
  readonly name: string;
  /** Whether it may keep device-model and libxl nodes (`driver_domain=1` in its configuration). */
  readonly driverDomain?: boolean;
}

/** Creates the home of a domain: readable by it, with a few directories that are its own. */
export async function createDomainHome(dom0: StoreClient, spec: DomainSpec): Promise<void> {
  const { domid } = spec;
  const home = domainPath(domid);
  const readable: Permission[] = [{ domid: 0, access: "none" }, { domid, access: "read" }];
  const own: Permission[] = [{ domid, access: "none" }];
  const uuid = `00000000-0000-0000-0000-${domid.toString(16).padStart(12, "0")}`;
  const nodes: [string, string | null, Permission[]][] = [
    ["", null, readable],
    ["/name", spec.name, readable],
    ["/domid", String(domid), readable],
    ["/vm", `/vm/${uuid}`, readable],
    ["/device", null, readable],
    ["/backend", null, readable],
    ["/data", null, own],
    ["/error", null, own],
    ...(spec.driverDomain
      ? [["/libxl", null, own] as [string, null, Permission[]], [
        "/device-model",
        null,
        own,
      ] as [string, null, Permission[]]]
      : []),
  ];
  await dom0.transaction(async (t) => {
    await t.removeOptional(home);
    for (const [path, value, permissions] of nodes) {
      await t.write(home + path, value ?? "");
      await t.setPermissions(home + path, permissions);
    }
    await t.write(`/vm/${uuid}/name`, spec.name);
    await t.makeDirectory(`/libxl/${domid}/device`);
  });
}
