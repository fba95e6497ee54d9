/** `xdevd detach` and its kin. */
import type { DeviceId } from "../../core/xen/device_id.ts";
import { nickname } from "../../core/xen/device_label.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { nameOfDomain, namesOf, resolveDomain } from "../../core/toolstack/domains.ts";
import { listDevices, readDevice } from "../../core/toolstack/list_devices.ts";
import { detachByRequest } from "../../core/requests/toolstack/request.ts";
import { DEFAULT_REMOVAL_WAITS, removeDevice } from "../../core/toolstack/remove.ts";
import { quoted } from "../../core/log/quoted.ts";
import { printJson } from "../json_output.ts";
import { deviceResult } from "./device_result.ts";
import { devidOf, frontendKindNamed } from "./kinds.ts";
import {
  type DetachOptions,
  type DeviceSession,
  timeLimit,
  untilTerminated,
  withDevices,
} from "./session.ts";
import { whileServing } from "./serving.ts";
import { findRequest } from "../request/request.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";

/**
 * Detaches a device.
 * @param device what it is called (`disk`), or a kind
 * @param which its devid; of a disk also its vdev; of a network interface also its MAC address, of a vTPM its uuid
 */
export async function detach(
  device: string,
  guest: string,
  which: string,
  options: DetachOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const frontendKind = await frontendKindNamed(device, options, builtIns);
  return await withDevices(options, async (session) => {
    const { store, ownDomid } = session;
    const frontendDomid = await resolveDomain(store, guest);
    const devid = await devidOf(session, frontendDomid, frontendKind, which);
    const found = await readDevice(store, frontendDomid, frontendKind, devid);
    if (found === undefined) {
      throw await missing(session, frontendDomid, frontendKind, which);
    }
    const before = options.json ? await deviceResult(store, found, "closed") : null;
    const { timeout } = options;
    const limit = timeout === undefined ? undefined : timeLimit(timeout);
    const patienceMs = limit?.left() ?? DEFAULT_REMOVAL_WAITS.closeMs;
    const waits = limit === undefined
      ? DEFAULT_REMOVAL_WAITS
      : { closeMs: patienceMs, directoryMs: patienceMs, limit };
    const record = { frontendDomid, devid, frontendKind };
    const remove = (id: DeviceId | null) =>
      untilTerminated(
        store,
        (told) => Promise.race([removeDevice(store, id, record, options.force, waits), told]),
      );
    const { id } = found;
    const request = await findRequest(store, frontendKind, frontendDomid, devid);
    if (request !== undefined) {
      await detachByRequest(store, request, {
        force: options.force === "on",
        ...(limit === undefined ? {} : { limit }),
      });
    } else if (id === null && found.backend !== "" && options.force !== "on") {
      throw new CodedError(
        "odd-record",
        `${(await namesOf(store, { kind: frontendKind, ...record })).device}: its record names a ` +
          `backend that cannot be its, ${quoted(found.backend)}: --force removes the record alone`,
      );
    } else if (id !== null && id.backendDomid === ownDomid) {
      await whileServing(session, id, options, builtIns, patienceMs, () => remove(id));
    } else await remove(id);
    if (before !== null) printJson(before);
    return ExitCode.Success;
  });
}

async function missing(
  { store }: DeviceSession,
  frontendDomid: number,
  frontendKind: string,
  which: string,
): Promise<CodedError> {
  const devices = await listDevices(store, frontendDomid, frontendKind);
  const named = ({ devid }: { devid: number }) => {
    const nick = nickname({ kind: frontendKind, frontendDomid, devid });
    return nick === null ? String(devid) : `${nick} (${devid})`;
  };
  const list = devices.map(named).join(", ") || "none";
  const guest = await nameOfDomain(store, frontendDomid);
  return new CodedError(
    "no-such-device",
    `${guest} has no ${frontendKind} device ${which} (there are: ${list})`,
  );
}
