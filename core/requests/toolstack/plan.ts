/** A request as nodes to be written: from the plan of a device, without what is not ours to say. Pure. */
import { own } from "../../../contract/v1/own.ts";
import { backendPath, type DeviceId } from "../../xen/device_id.ts";
import {
  DRIVER_NODES,
  readable,
  REQUEST_MARK,
  REQUEST_VERSION,
  writable,
} from "../protocol/nodes.ts";
import { type RequestId, requestKindOf, requestPath } from "../protocol/paths.ts";
import type { DiskSpec } from "../../toolstack/specs/disk/spec.ts";
import type { NicSpec } from "../../toolstack/specs/nic/spec.ts";
import { type DiskPlacement, planDisk } from "../../toolstack/nodes/disk.ts";
import { type NicPlacement, planNic } from "../../toolstack/nodes/nic.ts";
import type { CreationPlan, CreationStep, NodeValues } from "../../toolstack/nodes/plan.ts";

/** A device to be asked for. */
export interface DeviceRequest {
  readonly id: RequestId;
  /** Target: a path, or text for the script. */
  readonly params: string;
  /** Script; empty for the driver domain's default. */
  readonly script: string;
  /** What the backend directory is to have besides. */
  readonly config: NodeValues;
  /** The frontend directory's nodes, but for the pointer; owned by the guest. */
  readonly frontend: NodeValues;
  /** The same, owned by the driver domain. */
  readonly readOnlyFrontend: NodeValues;
  /** libxl's record, with the backend that is to be expected. */
  readonly record: NodeValues;
}

/** Nodes of a backend directory that a request says otherwise, or not at all. */
const NOT_CONFIG: ReadonlySet<string> = new Set([
  "frontend",
  "frontend-id",
  "online",
  "state",
  "params",
  "script",
  "hotplug-status",
]);

/**
 * A request for the device of a plan.
 * @param said what the driver domain cannot conclude from the plan's nodes
 * @throws RangeError for a device without a backend
 */
export function requestOfPlan(
  { id, frontendKind, backend, frontend, record }: CreationPlan,
  said: {
    readonly params?: string;
    readonly script?: string;
    readonly omit?: readonly string[];
    readonly config?: NodeValues;
  } = {},
): DeviceRequest {
  if (id === null || backend === null || frontend === null) {
    throw new RangeError("a device without a backend cannot be requested of a driver domain");
  }
  if (requestKindOf(id.kind) !== frontendKind) {
    throw new RangeError(`a ${id.kind} cannot be requested: its frontend is a ${frontendKind}`);
  }
  const { params = "", script = "", omit = [], config = [] } = said;
  const values = (nodes: readonly { name: string; value: string }[]): NodeValues =>
    nodes.map(({ name, value }) => [name, value]);
  const ownedBy = (domid: number) =>
    values(
      frontend.nodes.filter(({ name, permissions }) =>
        name !== "backend" && permissions?.[0]?.domid === domid
      ),
    );
  return {
    id: { ...id, kind: frontendKind },
    params,
    script,
    config: [
      ...values(backend.nodes).filter(([name]) => !NOT_CONFIG.has(name) && !omit.includes(name)),
      ...config,
    ],
    frontend: ownedBy(id.frontendDomid),
    readOnlyFrontend: ownedBy(id.backendDomid),
    record: values(record.nodes),
  };
}

/** A request for a disk. The backend is the driver domain's choice, unless the disk names one. */
export function diskRequest(
  disk: DiskSpec,
  placement: Omit<DiskPlacement, "backendType" | "scriptDirectory">,
): DeviceRequest {
  if (disk.colo) throw new RangeError("a replicated disk (colo) cannot be requested");
  const plan = planDisk(disk, { ...placement, backendType: "phy", scriptDirectory: "" });
  return requestOfPlan(plan, {
    params: disk.target ?? "",
    script: disk.script ?? "",
    omit: ["type"],
    config: [
      ["format", disk.format],
      ...(disk.backendType === undefined ? [] : [["backendtype", disk.backendType] as const]),
    ],
  });
}

/** A request for a network interface. */
export function nicRequest(
  nic: NicSpec,
  placement: Omit<NicPlacement, "scriptDirectory">,
): DeviceRequest {
  return requestOfPlan(planNic(nic, { ...placement, scriptDirectory: "" }), {
    script: nic.script ?? "",
  });
}

/** Creating a request: all of it, in this order, in one transaction. */
export function requestSteps(
  request: DeviceRequest,
  recordPath: string,
  token: string,
  hold: boolean,
): CreationStep[] {
  const { id, params, script, config, frontend, readOnlyFrontend, record } = request;
  const path = requestPath(id);
  const write = (name: string, value: string): CreationStep => ({
    type: "write",
    path: `${path}/${name}`,
    value,
  });
  return [
    ...record.map(([name, value]): CreationStep => ({
      type: "write",
      path: `${recordPath}/${name}`,
      value,
    })),
    { type: "write", path: `${recordPath}/${REQUEST_MARK}`, value: token },
    { type: "remove", path },
    { type: "mkdir", path },
    { type: "permit", path, permissions: readable(id.backendDomid) },
    write("version", REQUEST_VERSION),
    write("token", token),
    write("params", params),
    write("script", script),
    ...config.map(([name, value]) => write(`config/${name}`, value)),
    ...frontend.map(([name, value]) => write(`publish/guest/${name}`, value)),
    ...readOnlyFrontend.map(([name, value]) => write(`publish/backend/${name}`, value)),
    ...(hold ? [write("hold", "1")] : []),
    write("online", "1"),
    ...DRIVER_NODES.flatMap((name): CreationStep[] => [
      write(name, name === "state" ? "new" : ""),
      {
        type: "permit",
        path: `${path}/${name}`,
        permissions: writable(id.backendDomid),
      },
    ]),
  ];
}

/**
 * Publishing: the frontend directory, whose pointer leads to the backend that the driver domain named.
 * @param nodes of the request below `publish`
 */
export function publishSteps(
  id: RequestId,
  device: DeviceId,
  nodes: Readonly<Record<string, string>>,
  paths: { readonly frontend: string; readonly record: string },
): CreationStep[] {
  const { frontendDomid, backendDomid } = id;
  const owned = (owner: number, reader: number): CreationStep & { type: "permit" } => ({
    type: "permit",
    path: paths.frontend,
    permissions: [{ domid: owner, access: "none" }, { domid: reader, access: "read" }],
  });
  const guests = owned(frontendDomid, backendDomid);
  const backends = owned(backendDomid, frontendDomid);
  const below = (prefix: string, permit: typeof guests): CreationStep[] =>
    Object.entries(nodes).flatMap(([name, value]): CreationStep[] => {
      // An empty one may be there only for what is below it.
      if (!name.startsWith(prefix)) return [];
      const path = `${paths.frontend}/${name.slice(prefix.length)}`;
      return [{ type: "write", path, value }, { ...permit, path }];
    });
  const pointer = backendPath(device);
  const types: Readonly<Record<string, string>> = { vbd: "phy", qdisk: "qdisk", vbd3: "vbd3" };
  const type = id.kind === "vbd" ? own(types, device.kind) : undefined;
  return [
    { type: "remove", path: paths.frontend },
    { type: "mkdir", path: paths.frontend },
    guests,
    { type: "write", path: `${paths.frontend}/backend`, value: pointer },
    ...below("guest/", guests),
    ...below("backend/", backends),
    { type: "write", path: `${paths.record}/backend`, value: pointer },
    ...(type === undefined
      ? []
      : [{ type: "write" as const, path: `${paths.record}/type`, value: type }]),
    { type: "write", path: `${requestPath(id)}/frontend`, value: paths.frontend },
  ];
}
