/** Network interfaces made up for tests, as strict as the kernel's. */
import { isInterfaceName } from "../../contract/v1/interface_name.ts";
import { formatIp, parseIp } from "../../contract/v1/ip_address.ts";
import type {
  HostRoute,
  LinkSwitch,
  NetworkLink,
  NetworkLinks,
} from "../../contract/v1/network.ts";

/** One of them. */
interface FakeLink {
  index: number;
  name: string;
  up: boolean;
  mtu: number;
  mac: string;
  kind: string;
  /** Number of the bridge; 0: none. */
  master: number;
  addresses: string[];
  routes: HostRoute[];
  switches: Map<LinkSwitch, boolean>;
}

/** What it may be made with. */
export type FakeLinkOptions = Partial<Omit<FakeLink, "index" | "name" | "switches">>;

/** The interfaces of a made-up machine. */
export class FakeLinks implements NetworkLinks {
  readonly #links = new Map<number, FakeLink>();
  #lastIndex = 0;
  /** Called with a line about each change before it is made, and after; may throw. */
  before: (line: string) => void = () => {};
  after: (line: string) => void = () => {};
  /** Lines about the changes. */
  readonly changes: string[] = [];

  /** Makes an interface. @returns its number */
  make(name: string, options: FakeLinkOptions = {}): number {
    const index = ++this.#lastIndex;
    this.#links.set(index, {
      ...{ up: false, mtu: 1500, mac: `02:00:00:00:00:0${index}`, kind: "", master: 0 },
      ...{ addresses: [], routes: [], ...structuredClone(options), index, name },
      switches: new Map([["ipv4/proxy_arp", false], ["ipv6/proxy_ndp", false]]),
    });
    return index;
  }

  /** The interface is gone, as when netback has closed. */
  destroy(name: string): void {
    this.#links.delete(this.#get(name).index);
  }

  /** Everything, to be compared. */
  snapshot(): unknown {
    return structuredClone(
      [...this.#links.values()].map((link) => ({ ...link, switches: [...link.switches] })),
    );
  }

  /** One interface, to be compared. */
  state(name: string): Omit<FakeLink, "master"> & { master: string | null } {
    const link = structuredClone(this.#get(name));
    return { ...link, master: this.#links.get(link.master)?.name ?? null };
  }

  async read(name: string): Promise<NetworkLink | undefined> {
    if (!isInterfaceName(name)) throw failure("EINVAL", `bad name ${JSON.stringify(name)}`);
    const link = this.#find(name);
    if (link === undefined) return undefined;
    const { index, up, mtu, mac, kind, master } = link;
    return { index, name, up, mtu, mac, kind, master: this.#links.get(master)?.name ?? null };
  }

  async at(index: number): Promise<NetworkLink | undefined> {
    const link = this.#links.get(index);
    return link === undefined ? undefined : await this.read(link.name);
  }

  async bridges(): Promise<string[]> {
    const links = [...this.#links.values()].filter(({ kind }) => kind === "bridge");
    return links.map(({ name }) => name).sort();
  }

  setUp(name: string): Promise<void> {
    return this.#change(`up ${name}`, name, (link) => link.up = true);
  }

  setDown(name: string): Promise<void> {
    return this.#change(`down ${name}`, name, (link) => {
      link.up = false;
      link.routes = [];
    });
  }

  setMtu(name: string, bytes: number): Promise<void> {
    return this.#change(`mtu ${name} ${bytes}`, name, (link) => link.mtu = bytes);
  }

  setMac(name: string, mac: string): Promise<void> {
    return this.#change(`mac ${name} ${mac}`, name, (link) => {
      if (link.up) throw failure("EBUSY", `${name} is up`);
      link.mac = mac;
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#change(`rename ${from} ${to}`, from, (link) => {
      if (!isInterfaceName(to)) throw failure("EINVAL", `bad name ${JSON.stringify(to)}`);
      if (link.up) throw failure("EBUSY", `${from} is up`);
      if (this.#find(to) !== undefined) throw failure("EEXIST", `${to} exists`);
      link.name = to;
    });
  }

  addToBridge(bridge: string, name: string): Promise<void> {
    return this.#change(`join ${bridge} ${name}`, name, (link) => {
      const master = this.#get(bridge);
      if (master.kind !== "bridge") throw failure("EINVAL", `${bridge} is no bridge`);
      link.master = master.index;
    });
  }

  removeFromBridge(name: string): Promise<void> {
    return this.#change(`leave ${name}`, name, (link) => link.master = 0);
  }

  async addresses(name: string): Promise<string[]> {
    return [...this.#get(name).addresses];
  }

  addAddress(name: string, address: string): Promise<void> {
    return this.#change(`address+ ${name} ${address}`, name, ({ addresses }) => {
      const text = formatIp(parseIp(address)!);
      if (addresses.includes(text)) throw failure("EEXIST", text);
      addresses.push(text);
    });
  }

  removeAddress(name: string, address: string): Promise<void> {
    return this.#change(`address- ${name} ${address}`, name, (link) => {
      if (!link.addresses.includes(address)) throw failure("EADDRNOTAVAIL", address);
      link.addresses = link.addresses.filter((text) => text !== address);
    });
  }

  async routes(name: string): Promise<HostRoute[]> {
    return structuredClone(this.#get(name).routes);
  }

  addRoute(name: string, { destination, source, metric = 0 }: HostRoute): Promise<void> {
    return this.#change(`route+ ${name} ${destination}`, name, (link) => {
      if (!link.up) throw failure("ENETDOWN", `${name} is down`);
      if (link.routes.some((one) => one.destination === destination && one.metric === metric)) {
        throw failure("EEXIST", destination);
      }
      link.routes.push({ destination, ...(source === undefined ? {} : { source }), metric });
    });
  }

  removeRoute(name: string, { destination, metric = 0 }: HostRoute): Promise<void> {
    return this.#change(`route- ${name} ${destination}`, name, (link) => {
      const at = link.routes.findIndex((one) =>
        one.destination === destination && one.metric === metric
      );
      if (at < 0) throw failure("ESRCH", destination);
      link.routes.splice(at, 1);
    });
  }

  async readSwitch(name: string, which: LinkSwitch): Promise<boolean | undefined> {
    return this.#get(name).switches.get(which);
  }

  writeSwitch(name: string, which: LinkSwitch, on: boolean): Promise<void> {
    return this.#change(`${which} ${name} ${on}`, name, ({ switches }) => {
      switches.set(which, on);
    });
  }

  async #change(line: string, name: string, work: (link: FakeLink) => void): Promise<void> {
    this.before(line);
    work(this.#get(name));
    this.changes.push(line);
    this.after(line);
  }

  #find(name: string): FakeLink | undefined {
    return [...this.#links.values()].find((link) => link.name === name);
  }

  #get(name: string): FakeLink {
    const link = this.#find(name);
    if (link === undefined) throw failure("ENODEV", `there is no interface ${name}`);
    return link;
  }
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
