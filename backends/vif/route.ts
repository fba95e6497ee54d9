/** Mode `route`: packets to the guest's addresses are routed to its interface. */
import { formatIp, hasHostBits } from "../../contract/v1/ip_address.ts";
import { prepareRouted } from "./routed.ts";
import { refusal } from "./settings.ts";
import type { Preparation, Task } from "./task.ts";

/** The interface whose address is used when node `gatewaydev` names none, as in Xen's scripts. */
const DEFAULT_GATEWAY_DEVICE = "eth0";

/** Metric of the routes; an emulated twin of the interface would have 1, and come first. */
const METRIC = 2;

/** See {@link Mode}. */
export async function prepareRoute(task: Task): Promise<Preparation> {
  const { networks } = task.settings;
  for (const network of networks) {
    if (!hasHostBits(network)) continue;
    const why = "a network's address ends in zeros behind its prefix; for one host leave out /bits";
    throw refusal("ip", formatIp(network), why);
  }
  const source = await gatewayAddress(task);
  return await prepareRouted(task, {
    address: `${source}/32`,
    routes: networks.map((network) => ({
      destination: formatIp(network),
      metric: METRIC,
      ...(network.version === 4 ? { source } : {}),
    })),
    switches: networks.some(({ version }) => version === 6)
      ? ["ipv4/proxy_arp", "ipv6/proxy_ndp"]
      : ["ipv4/proxy_arp"],
    networks,
  });
}

/**
 * The first IPv4 address of the interface through which the guest's packets leave. The kernel takes
 * a name with a label for the interface itself, and so do Xen's scripts: they use its first address,
 * whatever the label.
 */
async function gatewayAddress({ links, settings }: Task): Promise<string> {
  const name = settings.gatewayDevice?.split(":")[0] ?? DEFAULT_GATEWAY_DEVICE;
  const refuse = (why: string) => {
    const hint = settings.gatewayDevice === null ? ", which is meant when it is empty," : "";
    const accepted = "accepted is an interface with an IPv4 address";
    return refusal(
      "gatewaydev",
      settings.gatewayDevice ?? "",
      `${accepted}; ${name}${hint} ${why}`,
    );
  };
  if (await links.read(name) === undefined) throw refuse("does not exist");
  const address = (await links.addresses(name)).find((text) => !text.includes(":"));
  if (address === undefined) throw refuse("has none");
  return address.split("/")[0]!;
}
