/**
 * The calling convention of hotplug scripts, version 1: what libxl on Linux passes to them
 * (tools/libs/light/libxl_linux.c). Pure.
 */
import { type DeviceId, relativeBackendPath } from "../../xen/device_id.ts";

/** Which convention a kind's scripts follow. */
export type ScriptFamily = "block" | "network";

/** Setting up or undoing. */
export type ScriptAction = "add" | "remove";

export interface ScriptPass {
  /** What follows the script's name on its command line. */
  readonly args: readonly string[];
  /** Its environment, besides PATH and what leads to the store. */
  readonly env: Readonly<Record<string, string>>;
}

/** What a network script is told besides the identity. */
export interface NetworkFacts {
  /** The node `type`: `vif`, or `vif_ioemu` for a guest with an emulated twin of the interface. */
  readonly type: string;
  /** The node `gatewaydev`; empty when there is none. */
  readonly gatewayDevice: string;
  /** Whether the emulated twin exists here; it lives where the device model runs. */
  readonly tapExists: boolean;
}

/** Name of the interface that netback makes: `vif7.0` (libxl_osdeps.h). */
export function interfaceName(id: DeviceId): string {
  return `vif${id.frontendDomid}.${id.devid}`;
}

/** Name of its emulated twin, a tap of the device model's: `vif7.0-emu` (libxl_osdeps.h). */
export function tapName(id: DeviceId): string {
  return `${interfaceName(id)}-emu`;
}

/** Where a script finds backends, relative to its domain's home. */
export const BACKEND_BASE = "backend";

function common(id: DeviceId, script: string, base: string): Record<string, string> {
  return {
    script,
    XENBUS_TYPE: id.kind,
    XENBUS_PATH: relativeBackendPath(id).replace(/^backend/, base),
    XENBUS_BASE_PATH: base,
  };
}

/**
 * The single pass of a block script.
 * @param base where the device's directory is, if it is a copy
 */
export function blockPasses(
  id: DeviceId,
  script: string,
  action: ScriptAction,
  base: string = BACKEND_BASE,
): ScriptPass[] {
  return [{ args: [action], env: common(id, script, base) }];
}

/**
 * The passes of a network script: the interface itself, then its emulated twin. Where the twin does
 * not exist (a driver domain: the device model runs elsewhere) its pass could only fail and is left
 * out.
 */
export function networkPasses(
  id: DeviceId,
  script: string,
  action: ScriptAction,
  facts: NetworkFacts,
  base: string = BACKEND_BASE,
): ScriptPass[] {
  const emulated = facts.type === "vif_ioemu";
  const env = {
    ...common(id, script, base),
    netdev: facts.gatewayDevice,
    vif: interfaceName(id),
    ...(emulated ? { INTERFACE: tapName(id) } : {}),
  };
  const passes: ScriptPass[] = [
    { args: [action === "add" ? "online" : "offline", "type_if=vif"], env },
  ];
  if (emulated && facts.tapExists) passes.push({ args: [action, "type_if=tap"], env });
  return passes;
}
