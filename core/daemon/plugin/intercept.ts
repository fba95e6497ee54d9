/** Standing between a plugin and its device: every use of a capability passes by. Pure. */
import { own } from "../../../contract/v1/own.ts";
import {
  CAPABILITIES,
  type Capabilities,
  type Capability,
  carries,
  PLACES,
} from "../../../contract/v1/capabilities.ts";
import type { Device } from "../../../contract/v1/plugin.ts";

/**
 * Called before each use of a capability, with its name as in docs/plugin-protocol.md
 * (`nodes.write`, say). What it throws, the plugin gets; what it awaits, the plugin waits for.
 */
export type Before = (capability: string, args: readonly unknown[]) => Promise<void> | void;

type Group = Record<string, unknown>;
type Use = (...args: unknown[]) => unknown;

/** A capability, with where in a device it is. */
interface Place {
  readonly name: string;
  readonly row: Capability;
  readonly groups: readonly string[];
  readonly last: string;
}

/** A device that asks `before` first. What takes no time (`log`, `undo`, …) is passed on as it is. */
export function intercept(
  device: Device,
  before: Before,
  table: Capabilities = CAPABILITIES,
): Device {
  const { id, settings, log, copy } = device;
  const seen = {
    id,
    settings,
    log,
    copy,
    timeLeft: () => device.timeLeft(),
    get undo() {
      return device.undo;
    },
  };
  for (const { name, row, groups, last } of placesIn(table)) {
    let [real, ours] = [device as unknown as Group, seen as Group];
    for (const word of groups) {
      real = real[word] as Group;
      ours = (ours[word] ??= {}) as Group;
    }
    ours[last] = through(name, row, (...args) => (real[last] as Use).apply(real, args), before);
  }
  return seen as unknown as Device;
}

/** What modules may have of a table, with where it is: made once, since there are many calls. */
function placesIn(table: Capabilities): readonly Place[] {
  const known = PLACES_IN.get(table);
  if (known !== undefined) return known;
  const places = Object.entries(table).filter(([, row]) => carries(row, "module"))
    .map(([name, row]) => ({ name, row, ...placeOf(name) }));
  PLACES_IN.set(table, places);
  return places;
}

const PLACES_IN = new WeakMap<Capabilities, readonly Place[]>();

function through(name: string, row: Capability, real: Use, before: Before): Use {
  const use = (args: unknown[]) =>
    real(...row.args.map((argument, at) => argument.check(args[at])));
  if (row.atOnce) return (...args) => use(args);
  return async (...args) => {
    await before(name, args);
    return await use(args);
  };
}

/** What a device can do, by name. */
export function functionOf(device: Device, name: string): Use {
  const { groups, last } = placeOf(name);
  const group = groups.reduce((group, word) => group[word] as Group, device as unknown as Group);
  return (...args) => (group[last] as Use).apply(group, args);
}

function placeOf(name: string): Pick<Place, "groups" | "last"> {
  const words = name.split(".");
  const last = words.pop()!;
  return { groups: words.flatMap((word) => own(PLACES, word) ?? [word]), last };
}
