/** From a device's description on the command line to what is wanted of this store and machine. */
import { targetFiles } from "../../platform/io/files.ts";
import type { FileStatus } from "../../platform/types.ts";
import { machineAbi, randomBytes } from "../../platform/self.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { guestTypeOf, resolveDomain } from "../../core/toolstack/domains.ts";
import {
  describedDevice,
  type SpecContext,
  type WantedDevice,
  wantedDevice,
} from "../../core/toolstack/resolved_spec.ts";
import { CodedError } from "../../core/messages/error.ts";
import { describableKind, deviceNamed } from "./kinds.ts";
import type { AttachOptions, DeviceOptions, DeviceSession } from "./session.ts";

/** What a device of a guest is planned with. */
export async function specContext(
  { store, ownDomid }: DeviceSession,
  frontendDomid: number,
  { scripts }: Pick<AttachOptions, "scripts">,
): Promise<SpecContext> {
  const guestType = await guestTypeOf(store, frontendDomid);
  return {
    frontendDomid,
    guestType,
    scriptDirectory: scripts[0]!,
    async resolveBackend(name) {
      if (name === undefined) return 0;
      if (name === String(ownDomid)) return ownDomid;
      return await resolveDomain(store, name);
    },
    async kindOfTarget(path) {
      const kind = await kindOf(path);
      return kind === "block" ? "block device" : kind === "file" ? "file" : "other";
    },
    protocol: guestType === "pv" ? machineAbi() : undefined,
    randomBytes,
  };
}

/** What looking at a path fails with that leads nowhere. */
const NOWHERE: ReadonlySet<unknown> = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"]);

/** @throws CodedError when nobody can tell */
async function kindOf(path: string): Promise<FileStatus["kind"] | undefined> {
  try {
    return (await targetFiles.stat(path)).kind;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (NOWHERE.has(code)) return undefined;
    throw new CodedError(
      "failed",
      `target ${JSON.stringify(path)} cannot be looked at: ${message}`,
    );
  }
}

/** @throws SpecError; CodedError for a device that nobody can describe */
export async function describe(
  device: string,
  texts: readonly string[],
  context: SpecContext,
  options: DeviceOptions,
  builtIns: readonly BuiltIn[],
): Promise<WantedDevice> {
  const named = deviceNamed(device);
  if (named !== null) return await wantedDevice(named.device, texts, context);
  return await describedDevice(await describableKind(device, options, builtIns), texts, context);
}
