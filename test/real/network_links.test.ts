/** The network capability on real interfaces, in a network namespace of its own. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Call } from "./network_links_child.ts";
import { requireReal } from "./requirements.ts";

const CHILD = join(dirname(fileURLToPath(import.meta.url)), "network_links_child.ts");
const SETUP = "ip link add a0 type veth peer name a1 && ip link set a1 up && " +
  "ip link add br0 type bridge";

const ROUTE = '{"destination":"10.9.0.1","source":"10.1.2.3","metric":2}';

/** Runs a shell line in a network namespace of its own. */
function isolated(line: string, ...args: string[]) {
  return spawnSync("unshare", ["--net", "sh", "-c", line, ...args], { encoding: "utf8" });
}

const lacking = isolated(SETUP).status === 0 ? null : "network namespaces with bridges";
const needs = { packages: ["iproute2", "util-linux"], root: true, lacking };
if (requireReal("the network capability on real interfaces", needs)) {
  test("what is asked for is done, and what cannot be done has its code and one line", () => {
    const { stdout, status } = isolated(`${SETUP} && exec "$0" "$1"`, process.execPath, CHILD);
    expect(status).toBe(0);
    const { calls, link } = JSON.parse(stdout) as { calls: Call[]; link: unknown };
    expect(calls.map(({ call, outcome }) => [call, outcome])).toEqual([
      ["bridges", ["br0"]],
      ['read "nope"', null],
      ['read "a/b"', "EINVAL"],
      ['setUp "nope"', "ENODEV"],
      ['setMtu "a0" 67', "EINVAL"],
      ['setMtu "a0" 65536', "EINVAL"],
      ['setMtu "a0" 1400', null],
      ['setMac "a0" "ff:ff:ff:ff:ff:ff"', "EINVAL"],
      ['setMac "a0" "fe:ff:ff:ff:ff:ff"', null],
      ['addToBridge "a1" "a0"', "EINVAL"],
      ['addToBridge "nope" "a0"', "ENODEV"],
      ['addToBridge "br0" "a0"', null],
      ['addToBridge "br0" "a0"', null],
      ['removeFromBridge "a0"', null],
      ['removeFromBridge "a0"', null],
      ['rename "a0" "br0"', "EEXIST"],
      ['rename "a0" "b%d"', "EINVAL"],
      ['rename "a0" "sixteen-bytes-00"', "EINVAL"],
      ['rename "a0" "lan0"', null],
      [`addRoute "lan0" ${ROUTE}`, "ENETDOWN"],
      ['setUp "lan0"', null],
      ['addAddress "lan0" "10.1.2.3"', null],
      ['addAddress "lan0" "10.1.2.3"', "EEXIST"],
      ['addAddress "lan0" "fd00::1/64"', null],
      ['addAddress "lan0" "10.1.2"', "EINVAL"],
      ['addresses "lan0"', expect.arrayContaining(["10.1.2.3/32", "fd00::1/64"])],
      [`addRoute "lan0" ${ROUTE}`, null],
      [`addRoute "lan0" ${ROUTE}`, "EEXIST"],
      ['addRoute "lan0" {"destination":"10.9.0.1/24"}', "EINVAL"],
      ['addRoute "lan0" {"destination":"fd01::1","metric":3}', null],
      ['addRoute "lan0" {"destination":"10.9.0.2","metric":4294967298}', "EINVAL"],
      ['addRoute "lan0" {"destination":"10.9.0.2","metric":-1}', "EINVAL"],
      ['addRoute "lan0" {"destination":"10.9.0.2","metric":1.5}', "EINVAL"],
      ['removeRoute "lan0" {"destination":"fd01::1","metric":4294967299}', "EINVAL"],
      [
        'routes "lan0"',
        expect.arrayContaining([
          { destination: "10.9.0.1/32", source: "10.1.2.3", metric: 2 },
          { destination: "fd01::1/128", metric: 3 },
        ]),
      ],
      [`removeRoute "lan0" ${ROUTE.replace('"metric":2', '"metric":4')}`, "ESRCH"],
      [`removeRoute "lan0" ${ROUTE}`, null],
      [`removeRoute "lan0" ${ROUTE}`, "ESRCH"],
      ['removeAddress "lan0" "10.1.2.3/32"', null],
      ['removeAddress "lan0" "10.1.2.3/32"', "EADDRNOTAVAIL"],
      ['writeSwitch "lan0" "ipv4/proxy_arp" true', null],
      ['readSwitch "lan0" "ipv4/proxy_arp"', true],
      ['writeSwitch "nope" "ipv4/proxy_arp" true', "ENODEV"],
      ['writeSwitch "all" "ipv4/proxy_arp" true', "EINVAL"],
      ['setDown "lan0"', null],
    ]);
    for (const { line } of calls) if (line !== undefined) expect(line).toMatch(/^cannot .+$/);
    expect(link).toMatchObject({
      ...{ name: "lan0", up: false, mtu: 1400, mac: "fe:ff:ff:ff:ff:ff" },
      ...{ kind: "veth", master: null },
    });
  });
}
