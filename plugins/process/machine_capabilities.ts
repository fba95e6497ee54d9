/** Capabilities for block devices and network interfaces, by name; the arguments are checked here. */
import type {
  Device,
  HostRoute,
  LinkSwitch,
  LoopBounds,
  LoopRequest,
  LoopUse,
} from "../../contract/v1/plugin.ts";
import { boolean, fields, number, text, word } from "./arguments.ts";

type Use = (device: Device, args: readonly unknown[]) => unknown;

const name = (value: unknown) => text(value, "an interface's name");
const address = (value: unknown) => text(value, "an address");
const route = (value: unknown) =>
  fields<HostRoute>(value, "a route", { destination: "text", source: "text?", metric: "number?" });
const which = (value: unknown) =>
  word<LinkSwitch>(value, [
    "ipv4/proxy_arp",
    "ipv4/forwarding",
    "ipv6/proxy_ndp",
    "ipv6/forwarding",
  ]);

/** `blocks.…` */
export const BLOCK_CAPABILITIES: Record<string, Use> = {
  "blocks.describe": ({ system }, [path]) => system.blocks.describe(text(path, "a path")),
  "blocks.attachLoop": ({ system }, [request]) =>
    system.blocks.attachLoop(
      fields<LoopRequest>(request, "a request", {
        path: "text",
        expectIdentity: "text",
        readOnly: "boolean",
        tag: "text",
        directIo: "boolean?",
      }),
    ),
  "blocks.detachLoop": ({ system }, [node, expected]) =>
    system.blocks.detachLoop(
      text(node, "a loop device"),
      fields<LoopUse>(expected, "what it has to be", {
        tag: "text",
        file: "text",
        diskseq: "number?",
      }),
    ),
  "blocks.loops": ({ system }, [bounds]) =>
    system.blocks.loops(
      fields<LoopBounds>(bounds ?? {}, "bounds", {
        file: "text?",
        tag: "text?",
        node: "text?",
      }),
    ),
};

/** `links.…` */
export const LINK_CAPABILITIES: Record<string, Use> = {
  "links.read": ({ system }, [link]) => system.links.read(name(link)),
  "links.at": ({ system }, [index]) => system.links.at(number(index, "an interface's number")),
  "links.bridges": ({ system }) => system.links.bridges(),
  "links.setUp": ({ system }, [link]) => system.links.setUp(name(link)),
  "links.setDown": ({ system }, [link]) => system.links.setDown(name(link)),
  "links.setMtu": ({ system }, [link, bytes]) =>
    system.links.setMtu(name(link), number(bytes, "an MTU")),
  "links.setMac": ({ system }, [link, mac]) => system.links.setMac(name(link), text(mac, "a MAC")),
  "links.rename": ({ system }, [from, to]) => system.links.rename(name(from), name(to)),
  "links.addToBridge": ({ system }, [bridge, link]) =>
    system.links.addToBridge(name(bridge), name(link)),
  "links.removeFromBridge": ({ system }, [link]) => system.links.removeFromBridge(name(link)),
  "links.addresses": ({ system }, [link]) => system.links.addresses(name(link)),
  "links.addAddress": ({ system }, [link, value]) =>
    system.links.addAddress(name(link), address(value)),
  "links.removeAddress": ({ system }, [link, value]) =>
    system.links.removeAddress(name(link), address(value)),
  "links.routes": ({ system }, [link]) => system.links.routes(name(link)),
  "links.addRoute": ({ system }, [link, value]) => system.links.addRoute(name(link), route(value)),
  "links.removeRoute": ({ system }, [link, value]) =>
    system.links.removeRoute(name(link), route(value)),
  "links.readSwitch": ({ system }, [link, value]) =>
    system.links.readSwitch(name(link), which(value)),
  "links.writeSwitch": ({ system }, [link, value, on]) =>
    system.links.writeSwitch(name(link), which(value), boolean(on, "on or off")),
};
