/** Nodes of a network interface (libxl_nic.c, `libxl__set_xenstore_nic`). Pure. */
import { bytesPerInterval, NIC_COLO_KEYS, type NicSpec, type NicType } from "../specs/nic/spec.ts";
import { placeIn, SpecError } from "../specs/spec_error.ts";
import {
  commonBackend,
  commonFrontend,
  type CreationPlan,
  digit,
  planCreation,
  present,
  type ScriptedPlacement,
  scriptPath,
} from "./plan.ts";

/** Bytes; the backend's node is written only for another one (libxl_nic.c). */
const MTU_DEFAULT = 1500;
const BRIDGE_DEFAULT = "xenbr0";
const SCRIPT_DEFAULT = "vif-bridge";

/** An interface whose address has been decided. */
export interface NicPlacement extends ScriptedPlacement {
  /** Six lower-case pairs with colons: the specification's, or one that was made up. */
  readonly mac: string;
  /** What {@link chooseNicType} says. */
  readonly type: NicType;
}

/**
 * The type of an interface.
 * @param running whether the guest runs already, so that this is a hot-plug
 * @throws SpecError for an emulated interface of a guest that cannot have one
 */
export function chooseNicType(
  { type }: NicSpec,
  guest: "pv" | "pvh" | "hvm",
  running: boolean,
): NicType {
  if (guest === "hvm") return type ?? (running ? "vif" : "ioemu");
  if (type === "ioemu") {
    const text = "type=ioemu";
    const place = placeIn(text, 0, 0, text.length);
    throw new SpecError("vif", "Invalid parameter", place, `type=vif for a ${guest} guest`);
  }
  return "vif";
}

/** All nodes of a network interface. */
export function planNic(nic: NicSpec, placement: NicPlacement): CreationPlan {
  const { devid, mac, type, scriptDirectory } = placement;
  const { mtu = MTU_DEFAULT, rate } = nic;
  return planCreation(placement, {
    kind: "vif",
    frontendKind: "vif",
    backend: [
      ...commonBackend(placement),
      ...present(
        ["script", scriptPath(nic.script ?? SCRIPT_DEFAULT, scriptDirectory)],
        ["vifname", nic.vifname],
        ["forwarddev", nic.forwarddev],
        ...coloNodes(nic),
        ["mac", mac],
        ["ip", nic.ip],
        ["gatewaydev", nic.gatewaydev],
        ["rate", rate && `${bytesPerInterval(rate)},${rate.intervalUs}`],
        ["mtu", mtu === MTU_DEFAULT ? undefined : mtu],
        ["vlan", nic.vlan],
        ["bridge", nic.bridge ?? BRIDGE_DEFAULT],
        ["handle", devid],
        ["type", type === "ioemu" ? "vif_ioemu" : type],
        // The backend waits for it to be `connected`.
        ["hotplug-status", ""],
      ),
    ],
    frontend: [
      ...commonFrontend(placement),
      ...present(["handle", devid], ["mac", mac], ["trusted", digit(nic.trusted ?? true)]),
    ],
    readOnlyFrontend: present(["mtu", mtu]),
  });
}

/** Sockets before the rest, those of the secondary side last, as libxl writes them. */
function coloNodes({ colo }: NicSpec): [string, string | undefined][] {
  return NIC_COLO_KEYS.map((key) => [key, colo[key]]);
}
