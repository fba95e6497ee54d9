/** Rules about a device's ordinary life. */
import { backendPath, type DeviceId } from "../../core/xen/device_id.ts";
import { MemoryJournal } from "../../core/daemon/journal/memory.ts";
import type { Daemon } from "../../core/daemon/daemon.ts";
import { systemClock } from "../../platform/clock.ts";
import { PATIENCE_MS } from "./rig.ts";
import { mustAdd, mustRemove, onTrial, type Rule, type RuleContext } from "./rule.ts";
import { Trial } from "./trial.ts";

/** How long a daemon has to stop, in ms. */
const STOP_MS = 2_000;
const POLL_MS = 10;

export const LIFE_RULES: readonly Rule[] = [
  {
    name: "lifecycle",
    claim: "the daemon attaches a device, the guest connects, the daemon detaches it again",
    run: (context) =>
      withDaemons(context, async (start) => {
        const { rig } = context;
        const id = rig.device(context.nextDevid());
        const before = await rig.inventory(id);
        const daemon = await start();
        await attach(context, daemon, id);
        const failure = await detach(context, daemon, id, "the detach");
        await settled(daemon);
        return [...failure, ...await leftSince(context, before, id, failure.length === 0)];
      }),
  },
  onTrial(
    "again",
    "a device of the same number can be attached again, after a remove",
    async (trial) => {
      for (let round = 1; round <= 3; round++) {
        const { error } = await trial.add();
        if (error !== null) return [`add number ${round} fails: ${error.message}`];
        await mustRemove(trial, `after add number ${round}`);
      }
      return [];
    },
  ),
  onTrial("clean-remove", "remove leaves nothing behind", async (trial, context) => {
    const before = await context.rig.inventory(trial.id);
    await mustAdd(trial);
    await mustRemove(trial, "after an add");
    return await context.rig.changesSince(before, trial.id);
  }),
  onTrial("remove-twice", "a second remove succeeds, and does nothing", async (trial, context) => {
    const before = await context.rig.inventory(trial.id);
    await mustAdd(trial);
    await mustRemove(trial, "after an add");
    await mustRemove(trial, "the second time");
    return await context.rig.changesSince(before, trial.id);
  }),
  onTrial(
    "remove-without-add",
    "remove of a device that was never added succeeds, and does nothing",
    async (trial, context) => {
      const before = await context.rig.inventory(trial.id);
      await mustRemove(trial, "without an add");
      return await context.rig.changesSince(before, trial.id);
    },
  ),
  onTrial(
    "remove-from-record",
    "remove needs nothing but the undo record: neither the store's nodes nor its memory",
    async (trial, context) => {
      const before = await context.rig.inventory(trial.id);
      await mustAdd(trial);
      await trial.deleteDirectories();
      await trial.restart();
      await mustRemove(trial, "from the undo record alone");
      return await context.rig.changesSince(before, trial.id);
    },
  ),
  {
    name: "adopt",
    claim: "a daemon that is started anew adopts a connected device without disturbing it",
    run: (context) =>
      withDaemons(context, async (start) => {
        const { rig } = context;
        const id = rig.device(context.nextDevid());
        const before = await rig.inventory(id);
        const first = await start();
        await attach(context, first, id);
        await first.stop(STOP_MS);
        const nodes = await nodesOf(context, backendPath(id));
        const second = await start();
        await settled(second);
        const faults = difference(nodes, await nodesOf(context, backendPath(id)));
        const failure = await detach(context, second, id, "the detach after that");
        await settled(second);
        const left = await leftSince(context, before, id, failure.length === 0);
        return [...faults, ...failure, ...left];
      }),
  },
  {
    name: "two-devices",
    claim: "devices do not meddle with each other",
    run: async (context) => {
      const { rig } = context;
      const first = await Trial.open(rig, context.nextDevid());
      // One daemon has one plugin, and one journal.
      const second = await Trial.open(rig, context.nextDevid(), {}, first);
      try {
        const before = await rig.inventory(first.id, second.id);
        const added = await Promise.all([first.add(), second.add()]);
        for (const { error } of added) if (error !== null) throw error;
        await mustRemove(first, "with another device set up");
        const { answer } = await second.check();
        const faults = answer ? [`with the other device removed, check says: ${answer}`] : [];
        await mustRemove(second, "after the other device");
        return [...faults, ...await rig.changesSince(before, first.id, second.id)];
      } finally {
        await first.close();
        await second.close();
      }
    },
  },
  onTrial("check", "check has nothing to say of a device that is well", async (trial) => {
    await mustAdd(trial);
    const { error, answer } = await trial.check();
    await mustRemove(trial, "after a check");
    if (error !== null) return [`check fails: ${error.message}`];
    return answer ? [`check says: ${answer}`] : [];
  }),
  onTrial(
    "scope",
    "nothing is written outside the device's own directories",
    async (trial, context) => {
      const names: string[] = [];
      trial.before = (capability, [first]) => {
        if (/^(nodes|hotplug)\.(read|remove)$/.test(capability)) names.push(String(first));
        if (/^(nodes|hotplug)\.write$/.test(capability)) {
          names.push(...Object.keys(Object(first)));
        }
      };
      const before = await context.rig.inventory(trial.id);
      await trial.add();
      const nodes = async () =>
        (await context.rig.changesSince(before, trial.id)).filter((line) =>
          line.startsWith("node ")
        );
      const written = (await nodes()).filter((line) => !OF_DEVICE_MODEL.test(line));
      await trial.remove();
      const tried = names.filter((name) => name.startsWith("/") || name.split("/").includes(".."))
        .map((name) => `it asks for node ${JSON.stringify(name)}`);
      return [...tried, ...written, ...await nodes()].filter((line, index, all) =>
        all.indexOf(line) === index
      );
    },
  ),
  onTrial(
    "quiet",
    "when a call has ended, the plugin does nothing more with its device",
    async (trial, context) => {
      await mustAdd(trial);
      await mustRemove(trial, "after an add");
      await new Promise<void>((resolve) => void systemClock.after(300, resolve));
      const told = context.log.filter((line) => line.includes("which has ended"));
      return [
        ...trial.late.map((capability) => `it uses ${capability} after its call has ended`),
        ...told.map((line) => line.trim()),
      ];
    },
  ),
];

/** What the daemon writes of a guest's device model, for as long as there is one. */
const OF_DEVICE_MODEL =
  /^node \/local\/domain\/\d+\/(device-model|libxl)\/(\d+(\/state|\/qdisk-backend-pid)? )/;

/** Attaches a device, and waits until the guest and the daemon are content. @throws Error */
export async function attach(context: RuleContext, daemon: Daemon, id: DeviceId): Promise<void> {
  const { rig } = context;
  await rig.toolstack().create(rig.spec(id));
  const guest = await rig.guest(id);
  let connected = true;
  await guest.connected(PATIENCE_MS).catch(() => connected = false);
  const setUp = () => daemon.devices.stateOf(id)?.phase === "connected";
  for (let waited = 0; connected && !setUp() && waited < PATIENCE_MS; waited += POLL_MS) {
    if (daemon.devices.stateOf(id)?.phase === "failed") break;
    await new Promise<void>((resolve) => void systemClock.after(POLL_MS, resolve));
  }
  if (connected && setUp()) return;
  const nodes = await nodesOf(context, backendPath(id));
  throw new Error(
    `the ${connected ? "device is not set up" : "guest does not get connected"}: ` +
      (nodes.get("hotplug-error") ?? `backend state ${nodes.get("state")}`),
  );
}

/**
 * Detaches a device. An undoing that fails would be tried again for longer than a toolstack waits: its
 * reason is what went wrong. @returns that, in a line; none when all went well
 */
export async function detach(
  { rig }: RuleContext,
  daemon: Daemon,
  id: DeviceId,
  what: string,
): Promise<string[]> {
  let isOver = false;
  const stuck = async () => {
    while (!isOver) {
      await new Promise<void>((resolve) => void systemClock.after(POLL_MS, resolve));
      const reason = daemon.devices.stateOf(id)?.stuck;
      if (reason) throw new Error(reason);
    }
  };
  const removed = rig.toolstack().remove(rig.spec(id));
  removed.catch(() => {});
  try {
    await Promise.race([removed, stuck()]);
    return [];
  } catch (error) {
    return [`${what} fails: ${(error as Error).message}`];
  } finally {
    isOver = true;
  }
}

/** @param gone whether the device's nodes ought to be gone, too */
export async function leftSince(
  { rig }: RuleContext,
  before: Awaited<ReturnType<RuleContext["rig"]["inventory"]>>,
  id: DeviceId,
  gone: boolean,
): Promise<string[]> {
  const left = await rig.changesSince(before, id);
  return left.filter((line) => gone || !line.startsWith("node "))
    .map((line) => `after the detach, ${line}`);
}

export async function withDaemons(
  { rig }: RuleContext,
  work: (start: () => Promise<Daemon>) => Promise<string[]>,
): Promise<string[]> {
  const journal = new MemoryJournal();
  const daemons: Daemon[] = [];
  try {
    return await work(async () => {
      const daemon = await rig.daemon(journal);
      daemons.push(daemon);
      return daemon;
    });
  } finally {
    for (const daemon of daemons) await daemon.stop(STOP_MS);
  }
}

/** Waits until a daemon has nothing more to do with devices that are gone. */
export async function settled(daemon: Daemon): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    await new Promise<void>((resolve) => void systemClock.after(20, resolve));
    if (daemon.devices.known.length === 0) return;
  }
}

export async function nodesOf(
  { rig }: RuleContext,
  directory: string,
): Promise<Map<string, string>> {
  const names = await rig.dom0.listOptional(directory);
  const values = await Promise.all(
    names.map(async (name) => [name, await rig.dom0.readOptional(`${directory}/${name}`) ?? ""]),
  );
  return new Map(values as [string, string][]);
}

function difference(before: Map<string, string>, after: Map<string, string>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name)).map((name) =>
    `the restart changed node ${name} from ${JSON.stringify(before.get(name))} to ` +
    `${JSON.stringify(after.get(name))}`
  );
}
