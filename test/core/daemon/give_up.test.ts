/** What a person gives up of which no lane takes care, and when that is too late. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { GiveUpRefused } from "../../../core/daemon/control/methods.ts";
import { NOTHING_HELD } from "../../../core/daemon/journal/held.ts";
import { backendPath } from "../../../core/xen/device_id.ts";
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import { until } from "../../support/daemon_process.ts";
import { DISK, disk, World } from "../../support/simulated_domain.ts";

const VBD = backendPath(DISK);
/** Of a kind that no plugin of the world's serves. */
const OTHER = { ...DISK, kind: "other" };
const NAME = `other/${OTHER.frontendDomid}/${OTHER.devid}`;

let world: World;

beforeEach(() => {
  world = new World();
});

afterEach(() => world.stop());

test("who waits for a device of a kind that no plugin serves is served when that is given up", async () => {
  world.journal.put({
    ...{ id: OTHER, attachId: "an-attach", stage: "connected", operation: null, error: null },
    ...{ waitsFor: null, undo: {}, held: NOTHING_HELD, nodes: {} },
  });
  world.recorder.within = async (call) => {
    if (call === "remove" || world.journal.get(NAME) === undefined) return;
    const { kind, frontendDomid, devid } = OTHER;
    throw Object.assign(new Error("in use"), {
      busy: { holders: [{ kind, frontendDomid, devid }] },
    });
  };
  await world.start();
  await world.toolstack().create(disk);
  await until(
    () => world.daemon.devices.stateOf(DISK)?.phase === "busy",
    () => world.log.join(""),
  );
  expect(world.daemon.devices.giveUp(NAME)).toContain("its record is dropped");
  await world.reaches(`${VBD}/hotplug-status`, "connected");
});

test("what a daemon that has stopped would give up is refused, and stays", async () => {
  world.parts = { times: { ...DEFAULT_TIMES, hold: 30, retry: 10, retryMost: 10 } };
  world.recorder.within = async (call) => {
    if (call === "remove") throw new Error("target is busy");
  };
  await world.start();
  await world.toolstack().create(disk);
  await world.reaches(`${VBD}/hotplug-status`, "connected");
  await world.dom0.remove(VBD);
  await until(
    () => world.daemon.devices.stateOf(DISK)?.stuck === "target is busy",
    () => world.log.join(""),
  );
  await world.daemon.stop(100);
  const name = `vbd/${DISK.frontendDomid}/${DISK.devid}`;
  expect(() => world.daemon.devices.giveUp(name)).toThrow(GiveUpRefused);
  expect(world.journal.get(name)).toBeDefined();
});
