/** Mode `openvswitch`: the interface becomes a port of an Open vSwitch bridge. */
import type { Device } from "../../contract/v1/plugin.ts";
import { INTERFACE_NAME_RULE, isInterfaceName } from "../../contract/v1/interface_name.ts";
import { makePort } from "./bridge.ts";
import { findProgram, type Preparation, refusal, type Task } from "./settings.ts";
import { encodeUndo } from "./undo.ts";

/** How long ovs-vsctl may wait for the switch's daemon, in s (vif-openvswitch). */
const TIMEOUT_S = 30;

/** Highest number of a VLAN (IEEE 802.1Q). */
const VLAN_MAX = 4094;

/** What node `bridge` says: `name[.vlan][:trunk[:trunk…]]`. */
interface SwitchPort {
  readonly bridge: string;
  readonly options: readonly string[];
}

/** See {@link Mode}. */
export async function prepareOpenvswitch(task: Task): Promise<Preparation> {
  const { device, links, link, settings, name, signal } = task;
  const { bridge, options } = parsePort(settings.bridge);
  const program = await findProgram(device.system, "ovs-vsctl");
  if (program === undefined) {
    throw new Error("there is no program ovs-vsctl: is Open vSwitch installed? [program-missing]");
  }
  const addresses = await links.addresses(link.name);
  // The guest's name and uuid, which the script adds, are not for a driver domain to read.
  const mac = settings.mac === null
    ? []
    : ["--", "set", "interface", name, `external-ids:attached-mac="${settings.mac}"`];
  return {
    undo: { taken: addresses },
    networks: settings.networks,
    async apply() {
      await makePort(task, addresses);
      // Not before it has its name: another's port may have been called so.
      await device.recordUndo(encodeUndo({ ovsPort: name }));
      await device.system.run([
        ...[program, `--timeout=${TIMEOUT_S}`, "--", "--if-exists", "del-port", name],
        ...["--", "add-port", bridge, name, ...options, ...mac],
      ] as [string, ...string[]], signal);
      await links.setUp(name);
      const master = (await links.read(name))?.master;
      if (master) await device.recordUndo(encodeUndo({ switchMaster: master }));
    },
  };
}

/** Removes a port; one that does not exist is no error. @throws Error */
export async function removePort(device: Device, port: string, signal: AbortSignal): Promise<void> {
  const program = await findProgram(device.system, "ovs-vsctl");
  if (program === undefined) return;
  const argv = ["--", "--if-exists", "del-port", port];
  await device.system.run([program, `--timeout=${TIMEOUT_S}`, ...argv], signal);
}

function parsePort(value: string): SwitchPort {
  const accepted = "accepted is name[.vlan][:vlan[:vlan…]], where a name without . and : is " +
    `${INTERFACE_NAME_RULE}, and a vlan 0 … ${VLAN_MAX}`;
  const match = /^([^.:]+)(?:\.(\d{1,4}))?((?::\d{1,4})*)$/.exec(value);
  if (match === null) throw refusal("bridge", value, accepted);
  const [, bridge = "", tag, trunks = ""] = match;
  const vlans = trunks.split(":").slice(1);
  const fits = (vlan: string) => Number(vlan) <= VLAN_MAX;
  if (!isInterfaceName(bridge) || !(tag === undefined ? vlans : [tag, ...vlans]).every(fits)) {
    throw refusal("bridge", value, accepted);
  }
  return {
    bridge,
    options: [
      ...(tag === undefined ? [] : [`tag=${Number(tag)}`]),
      ...(vlans.length === 0 ? [] : [`trunks=${vlans.map(Number).join(",")}`]),
    ],
  };
}
