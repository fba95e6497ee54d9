/**
 * One attach and one detach on real interfaces, natively or by Xen's script. To be run in network
 * and mount namespaces of its own, with a {@link VifCase} as argument; prints a {@link VifOutcome}.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { addNative, removeNative, type VifMode } from "../../backends/vif/native.ts";
import { systemNetworkLinks } from "../../platform/linux/network_links.ts";
import { backendPath, frontendPath } from "../../core/xen/device_id.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";
import { connectTo } from "../support/store_connection.ts";

/** The device, whose nodes the parent has made. */
export const VIF = { backendDomid: 1, kind: "vif", frontendDomid: 7, devid: 0 };

/** What is to be run. */
export interface VifCase {
  readonly how: "native" | "script";
  readonly mode: VifMode;
  /** The name that the interface is expected to get. */
  readonly name: string;
  readonly gatewayDevice: string;
  /** The driver domain's way to the store. */
  readonly socket: string;
}

/** What iproute2 says of an interface; null if there is none. */
export interface LinkState {
  readonly up: boolean;
  readonly mtu: number;
  readonly mac: string;
  readonly master: string | null;
  readonly proxyArp: string;
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
}

/** What was seen. */
export interface VifOutcome {
  /** Why it was not set up. */
  readonly error: string | null;
  /** What `hotplug-status` was then. */
  readonly status: string | null;
  readonly before: LinkState | null;
  readonly added: LinkState | null;
  readonly removed: LinkState | null;
  /** Times of attaching, in ms; the native ones of several in a row. */
  readonly times: readonly number[];
}

/** Attaches in a row, of which times are taken. */
const NATIVE_RUNS = 5;

const SETUP = [
  "link add xenbr0 type bridge",
  "link add up0 type veth peer name up1",
  "link set up0 master xenbr0",
  "link set xenbr0 mtu 1400 up",
  "link add eth0 type veth peer name eth0p",
  "link set eth0 up",
  "addr add 192.0.2.1/24 dev eth0",
  "link add wan type veth peer name wanp",
  "link set wan up",
  "addr add 198.51.100.9/28 dev wan",
  "addr add 198.51.100.10/28 dev wan label wan:1",
  "addr add 203.0.113.5/24 dev wan label wan:2",
  "link add vif7.0 type veth peer name guest",
];

if (import.meta.main) {
  const given = JSON.parse(process.argv[2] ?? "") as VifCase;
  for (const line of SETUP) await ip(line.split(" "));
  const store = await connectTo(given.socket);
  const outcome = await (given.how === "native" ? native(given, store) : script(given, store));
  console.log(JSON.stringify(outcome));
  process.exit(0);
}

async function native({ mode, name }: VifCase, store: StoreClient): Promise<VifOutcome> {
  const device = new FakeDevice(new FakeMachine(), VIF, {});
  device.nodes.read = (node) => store.readOptional(`${backendPath(VIF)}/${node}`);
  device.nodes.write = async (nodes) => {
    await store.transaction(async (t) => {
      for (const [node, value] of Object.entries(nodes)) {
        await t.write(`${backendPath(VIF)}/${node}`, value);
      }
    });
  };
  device.system.sleep = (ms) => Bun.sleep(ms);
  const { signal } = new AbortController();
  device.frontend.writeMtu = (bytes) =>
    store.write(`${frontendPath(VIF, "vif")}/mtu`, String(bytes));
  const add = () => addNative(device, systemNetworkLinks, mode, signal, {});
  const remove = async () => {
    await removeNative(device, systemNetworkLinks, signal);
    device.forget();
  };
  const times: number[] = [];
  const before = await stateOf("vif7.0");
  let error: string | null = null;
  for (let run = 1; run < NATIVE_RUNS && error === null; run++) {
    error = await timed(add, times);
    await remove();
  }
  error = await timed(add, times);
  const added = await stateOf(name);
  const status = await statusOf(store);
  await remove();
  await remove();
  return { error, status, before, added, removed: await stateOf("vif7.0"), times };
}

async function script(given: VifCase, store: StoreClient): Promise<VifOutcome> {
  const { mode, name, gatewayDevice, socket } = given;
  const run = async (command: string) => {
    const child = Bun.spawn([`/etc/xen/scripts/vif-${mode}`, command, "type_if=vif"], {
      env: {
        ...{ PATH: "/usr/sbin:/usr/bin:/sbin:/bin", XENSTORED_PATH: socket, XENBUS_TYPE: "vif" },
        ...{ XENBUS_PATH: "backend/vif/7/0", XENBUS_BASE_PATH: "backend", vif: "vif7.0" },
        ...{ script: `/etc/xen/scripts/vif-${mode}`, netdev: gatewayDevice },
      },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const code = await child.exited;
    if (code !== 0) throw new Error(`vif-${mode} ${command} exited with ${code}`);
  };
  const times: number[] = [];
  const before = await stateOf("vif7.0");
  const error = await timed(() => run("online"), times);
  const added = await stateOf(name);
  const status = await statusOf(store);
  await run("offline").catch(() => {});
  return { error, status, before, added, removed: await stateOf(name), times };
}

async function statusOf(store: StoreClient): Promise<string | null> {
  return await store.readOptional(`${backendPath(VIF)}/hotplug-status`) ?? null;
}

/** @returns why it failed; null if it did not */
async function timed(work: () => Promise<void>, times: number[]): Promise<string | null> {
  const start = performance.now();
  try {
    await work();
    return null;
  } catch (error) {
    return (error as Error).message;
  } finally {
    times.push(Math.round((performance.now() - start) * 10) / 10);
  }
}

async function stateOf(name: string): Promise<LinkState | null> {
  if (!existsSync(`/proc/sys/net/ipv4/conf/${name}`)) return null;
  const [link] = JSON.parse(await ip(["-j", "addr", "show", "dev", name]));
  const routes = JSON.parse(await ip(["-j", "route", "show", "dev", name]));
  return {
    up: link.flags.includes("UP"),
    mtu: link.mtu,
    mac: link.address,
    master: link.master ?? null,
    proxyArp: (await readFile(`/proc/sys/net/ipv4/conf/${name}/proxy_arp`, "utf8")).trim(),
    addresses: link.addr_info.filter((one: { family: string }) => one.family === "inet")
      .map((one: { local: string; prefixlen: number; scope: string }) =>
        `${one.local}/${one.prefixlen} ${one.scope}`
      ),
    routes: routes.map((route: Record<string, unknown>) =>
      ["dst", "scope", "prefsrc", "metric", "protocol"].map((key) => `${key} ${route[key]}`)
        .join(" ")
    ).sort(),
  };
}

async function ip(args: readonly string[]): Promise<string> {
  const child = Bun.spawn(["ip", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const text = await new Response(child.stdout).text();
  if (await child.exited !== 0) throw new Error(`ip ${args.join(" ")} failed`);
  return text;
}
