/** When a guest is watched, and what its events lead to. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Guests, WATCHED_AFTER_MS } from "../../../core/daemon/guests.ts";
import type { DeviceId } from "../../../core/xen/device_id.ts";
import type { StoreClient } from "../../../core/xenstore/client.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { until } from "../../support/daemon_process.ts";
import { DISK, disk, World } from "../../support/simulated_domain.ts";

const PATH = "/local/domain/7/device/vbd/51712";

describe("a guest's watch", () => {
  let clock: FakeClock;
  let watches: Map<string, (path: string) => void>;
  let guests: Guests;
  let told: string[];

  beforeEach(() => {
    clock = new FakeClock();
    watches = new Map();
    told = [];
    const store = {
      isRecovering: false,
      watch(path: string, handler: (path: string) => void) {
        watches.set(path, handler);
        return Promise.resolve({ close: async () => void watches.delete(path) });
      },
    } as unknown as StoreClient;
    guests = new Guests(store, clock, (id, path) => told.push(`${id.devid} ${path}`));
  });

  const update = (devices: readonly DeviceId[]) => guests.update(7, devices, ({ kind }) => kind);

  test("is set when its first device has been there for a while", async () => {
    update([DISK]);
    await clock.advance(WATCHED_AFTER_MS - 1);
    expect([...watches.keys()]).toEqual([]);
    await clock.advance(1);
    expect([...watches.keys()]).toEqual([PATH]);
    watches.get(PATH)!(`${PATH}/state`);
    expect(told).toEqual([`51712 ${PATH}/state`]);
  });

  test("is never set for a device that is gone by then", async () => {
    update([DISK]);
    await clock.advance(WATCHED_AFTER_MS / 2);
    update([]);
    await clock.advance(WATCHED_AFTER_MS);
    expect([...watches.keys()]).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test("is not set after the end", async () => {
    update([DISK]);
    await guests.stop();
    await clock.advance(WATCHED_AFTER_MS);
    expect([...watches.keys()]).toEqual([]);
  });
});

describe("in a driver domain", () => {
  let world: World;

  beforeEach(async () => {
    world = await new World().start();
    await world.toolstack().create(disk);
    await (await world.guest(DISK)).connected(1_000);
  });

  afterEach(() => world.stop());

  test("a guest's death is noticed by its watch", async () => {
    await until(() => world.daemonStore.watchCount > 1, () => "the guest is not watched");
    world.server.destroy(7);
    await until(() => world.recorder.calls.length > 1, () => world.log.join(""));
    expect(world.recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("what a guest writes into its own directory makes nobody look", async () => {
    await until(() => world.daemonStore.watchCount > 1, () => "the guest is not watched");
    const reads: string[] = [];
    const { daemonStore: store } = world;
    const read = store.read.bind(store);
    store.read = (path, options) => {
      reads.push(path);
      return read(path, options);
    };
    const guest = await world.connect(7);
    // The watch's first event may be under way.
    await Bun.sleep(20);
    reads.length = 0;
    for (let number = 0; number < 20; number++) await guest.write(`${PATH}/note`, `${number}`);
    await Bun.sleep(20);
    expect(reads).toEqual([]);
  });
});
