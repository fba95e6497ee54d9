/** What a toolstack sees of a request. */
import { frontendPath } from "../../xen/device_id.ts";
import { REQUEST_MARK } from "../protocol/nodes.ts";
import { type RequestId, requestPath } from "../protocol/paths.ts";
import { readTree } from "../protocol/read.ts";
import { parseReport, type RequestReport } from "../protocol/report.ts";
import type { ToolstackSeen } from "../protocol/toolstack_machine.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";
import { recordPath } from "../../toolstack/nodes/plan.ts";

/** One look, with all that steps need. */
export interface RequestLook {
  readonly seen: ToolstackSeen;
  readonly report: RequestReport;
  /** Empty without a request. */
  readonly token: string;
  readonly nodes: Readonly<Record<string, string>>;
}

/** Where a request's device is. */
export function devicePaths(id: RequestId): { frontend: string; record: string; request: string } {
  return {
    frontend: frontendPath(id, id.kind),
    record: recordPath(id, id.kind),
    request: requestPath(id),
  };
}

/** Looks at a request and its device. */
export async function lookAtRequest(store: NodeAccess, id: RequestId): Promise<RequestLook> {
  const paths = devicePaths(id);
  const [nodes, record, mark] = await Promise.all([
    readTree(store, paths.request),
    absentOrHidden(store.read(paths.record)),
    store.readVisible(`${paths.record}/${REQUEST_MARK}`),
  ]);
  const { token = "", online, force, hold, frontend } = nodes ?? {};
  const report = parseReport(nodes, id);
  return {
    seen: {
      record: record === undefined ? "none" : mark === token && token ? "ours" : "foreign",
      state: report.state,
      online: nodes !== null && online !== "0",
      force: force === "1",
      published: frontend !== undefined,
      hold: hold === "1",
      credible: report.device !== undefined,
    },
    report,
    token,
    nodes: nodes ?? {},
  };
}
