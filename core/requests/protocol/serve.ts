/** From a request to a backend directory: which backend, with which nodes. Pure. */
import { own } from "../../../contract/v1/own.ts";
import { type DeviceId, frontendPath } from "../../xen/device_id.ts";
import type { Permission } from "../../xenstore/permissions.ts";
import { REQUEST_MARK } from "./nodes.ts";
import type { RequestId } from "./paths.ts";
import { type Request, RequestFault } from "./request.ts";

/** What has to be known of the driver domain. */
export interface Locality {
  /** Whether there is a plugin for a backend kind. */
  serves(kind: string): boolean;
  /** What the target is here; undefined if it is no path, or there is nothing. */
  readonly target: "block device" | "file" | "other" | undefined;
  /** How image files are served when the request does not say: by a loop device, or by QEMU. */
  readonly files: "loop" | "qdisk";
  /** Where scripts are that are named without a path. */
  readonly scriptDirectory: string;
}

/** A backend directory to be made. */
export interface Serving {
  readonly id: DeviceId;
  /** All nodes but `state`, which tells kernels and QEMU to begin. */
  readonly nodes: readonly (readonly [name: string, value: string])[];
  readonly permissions: readonly Permission[];
}

/** Scripts that are run when the request names none, by backend kind (libxl_disk.c, libxl_nic.c). */
const DEFAULT_SCRIPTS: Readonly<Record<string, string>> = {
  vbd: "block",
  vbd3: "block-tap",
  vif: "vif-bridge",
};

/** What `config` says to the driver domain, and is no node of a backend. */
const OWN_WORDS: ReadonlySet<string> = new Set(["format", "backendtype", "hold"]);

/** What `config/backendtype` may be, with the backend kind and the text of node `type`. */
const DISK_BACKENDS = {
  phy: { kind: "vbd", type: "phy" },
  qdisk: { kind: "qdisk", type: "qdisk" },
  tap: { kind: "vbd3", type: "vbd3" },
} as const;

/** Formats, with what stands before the colon in QEMU's `params` (libxl_device.c). */
const FORMATS: Readonly<Record<string, string>> = {
  raw: "aio",
  empty: "aio",
  qcow: "qcow",
  qcow2: "qcow2",
  vhd: "vhd",
  qed: "qed",
};

/** @throws RequestFault when it cannot be served here */
export function serve(id: RequestId, request: Request, here: Locality): Serving {
  const chosen = id.kind === "vbd"
    ? chooseDisk(request, here)
    : { kind: id.kind, extra: [], params: request.params };
  const { kind, params, extra } = chosen;
  if (!here.serves(kind)) {
    throw new RequestFault(`no plugin of this driver domain serves kind ${kind}`);
  }
  const script = request.script || own(DEFAULT_SCRIPTS, kind);
  const device = { ...id, kind };
  const config = Object.entries(request.config).filter(([name]) => !OWN_WORDS.has(name));
  return {
    id: device,
    nodes: [
      ["frontend", frontendPath(id, id.kind)],
      ["frontend-id", String(id.frontendDomid)],
      ["online", "1"],
      [REQUEST_MARK, request.token],
      ...(params === "" && id.kind !== "vbd" ? [] : [["params", params] as const]),
      ...(script === undefined || kind === "qdisk" ? [] : [
        [
          "script",
          script.startsWith("/") ? script : `${here.scriptDirectory}/${script}`,
        ] as const,
      ]),
      ...config.filter(([name]) => !extra.some(([other]) => other === name)),
      ...extra,
      // netback waits for it to be `connected`.
      ...(kind === "vif" ? [["hotplug-status", ""] as const] : []),
    ],
    permissions: [
      { domid: id.backendDomid, access: "none" },
      { domid: id.frontendDomid, access: "read" },
    ],
  };
}

/** As libxl chooses (phy, qdisk, tap), but where the image can be looked at. */
function chooseDisk(
  { params, script, config }: Request,
  { serves, target, files }: Locality,
): { kind: string; params: string; extra: [string, string][] } {
  const { format = "raw", backendtype: asked } = config;
  const prefix = own(FORMATS, format);
  if (prefix === undefined) {
    throw new RequestFault(
      `node config/format is ${JSON.stringify(format)}; expected ${
        Object.keys(FORMATS).join(", ")
      }`,
    );
  }
  if (asked !== undefined && !Object.hasOwn(DISK_BACKENDS, asked)) {
    throw new RequestFault(
      `node config/backendtype is ${JSON.stringify(asked)}; expected phy, qdisk or tap`,
    );
  }
  const plain = format === "raw" || format === "empty" && config["device-type"] === "cdrom";
  const byFile = target === "file" && files === "qdisk" && script === "" && serves("qdisk");
  const type = asked as keyof typeof DISK_BACKENDS | undefined ??
    (plain && !byFile ? "phy" : "qdisk");
  if (type === "qdisk" && script !== "") {
    throw new RequestFault(
      `format ${format} is QEMU's, which runs no scripts; expected format raw`,
    );
  }
  if (type === "phy" && !plain) {
    throw new RequestFault(`format ${format} cannot be served by phy; expected format raw`);
  }
  if (target === "other" && script === "") {
    throw new RequestFault(`${JSON.stringify(params)} is neither a block device nor a file`);
  }
  if (target === undefined && script === "" && params !== "") {
    throw new RequestFault(`there is no ${JSON.stringify(params)} in this driver domain`);
  }
  const { kind, type: word } = DISK_BACKENDS[type];
  const image = type === "phy" ? params : `${type === "tap" ? format : prefix}:${params}`;
  return { kind, params: image, extra: [["type", word]] };
}
