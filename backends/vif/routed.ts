/** What the modes `route` and `nat` share: an address of ours on the interface, and host routes. */
import type { HostRoute, LinkSwitch } from "../../contract/v1/network.ts";
import type { IpNetwork } from "../../contract/v1/ip_address.ts";
import type { Preparation, Task } from "./task.ts";

/** What is wanted. */
export interface RoutedPlan {
  /** Our end: `address/32`. */
  readonly address: string;
  readonly routes: readonly HostRoute[];
  readonly switches: readonly LinkSwitch[];
  readonly networks: readonly IpNetwork[];
}

/** Finds out what of it is there already, which is then neither done nor undone. */
export async function prepareRouted(task: Task, plan: RoutedPlan): Promise<Preparation> {
  const { links, link, name } = task;
  const [addresses, present] = await Promise.all([
    links.addresses(link.name),
    links.routes(link.name),
  ]);
  const given = addresses.includes(plan.address) ? [] : [plan.address];
  const known = new Set(present.map(routeKey));
  const routes = plan.routes.filter((route) => !known.has(routeKey(route)));
  const switchedOn: LinkSwitch[] = [];
  for (const which of plan.switches) {
    if (await links.readSwitch(link.name, which) === false) switchedOn.push(which);
  }
  return {
    undo: { given, routes, switchedOn },
    networks: plan.networks,
    async apply() {
      for (const address of given) await links.addAddress(name, address);
      await links.setUp(name);
      for (const which of switchedOn) await links.writeSwitch(name, which, true);
      for (const route of routes) await links.addRoute(name, route);
    },
  };
}

/** What tells routes through one interface apart. */
export function routeKey({ destination, source, metric }: HostRoute): string {
  return [destination, source ?? "", metric ?? 0].join(" ");
}
