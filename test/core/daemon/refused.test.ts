/** How often a device that was refused is tried again. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { until } from "../../support/daemon_process.ts";
import { DISK, disk, World } from "../../support/simulated_domain.ts";

let world: World;

beforeEach(() => {
  world = new World();
});

afterEach(() => world.stop());

test("who is refused because of devices that hold nothing is tried again now and then, not without end", async () => {
  world.recorder.within = async (call) => {
    if (call === "remove" || world.recorder.calls.length > 100) return;
    throw Object.assign(new Error("in use"), {
      busy: { holders: [{ kind: "vbd", frontendDomid: 9, devid: 1 }] },
    });
  };
  await world.start();
  await world.toolstack().create(disk);
  await until(
    () => world.daemon.devices.stateOf(DISK)?.phase === "busy",
    () => world.log.join(""),
  );
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(world.recorder.calls.filter((call) => call.startsWith("add")).length).toBeLessThan(4);
});
