/** What a driver domain says of a request, read by toolstacks as the text it is. Pure. */
import type { DeviceId } from "../../xen/device_id.ts";
import { printable } from "../../log/log.ts";
import { ERROR_MAX } from "./nodes.ts";
import { parseServingDevice, type RequestId } from "./paths.ts";
import { parseRequestState, REQUEST_RESULTS } from "./states.ts";
import type { RequestResult, RequestState } from "./states.ts";

/** A driver domain's account, as far as it makes sense. */
export interface RequestReport {
  /** null without a request, `odd` if it is none of the words. */
  readonly state: RequestState | "odd" | null;
  /** The device that serves it; undefined when none is named, or none that may. */
  readonly device: DeviceId | undefined;
  readonly result: RequestResult | undefined;
  /** One line that can be shown; undefined when there is none. */
  readonly error: string | undefined;
  /** The same. */
  readonly pdev: string | undefined;
}

/** @param nodes values by name, relative to the request's directory; null without a request */
export function parseReport(
  nodes: Readonly<Record<string, string>> | null,
  id: RequestId,
): RequestReport {
  const { state = "", backend = "", error, pdev, "hotplug-status": result } = nodes ?? {};
  return {
    state: nodes === null ? null : parseRequestState(state) ?? "odd",
    device: parseServingDevice(backend, id),
    result: REQUEST_RESULTS.find((word) => word === result),
    error: line(error),
    pdev: line(pdev),
  };
}

/** The first line of a stranger's text, bounded, and harmless to a terminal. */
export function line(text: string | undefined): string | undefined {
  const first = text?.split("\n", 1).join("").slice(0, ERROR_MAX).trim();
  return first ? printable(first) : undefined;
}
