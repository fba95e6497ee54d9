/** What a script that an earlier daemon has left says just before it ends. */
import { expect, test } from "bun:test";
import { type Standing, SteppedWorld } from "./stepped_daemon.ts";

/** Longer than the pause between two looks at processes, in ms. */
const LOOK_MS = 200;

for (const standing of ["domain 0", "may make", "may not make"] satisfies Standing[]) {
  test(`is not undone because its event comes with the next look: ${standing}`, async () => {
    const world = new SteppedWorld(true, standing);
    await world.begin();
    await world.quiet();
    await world.create(2);
    await world.quiet();
    const mark = world.held;
    expect(mark).not.toBeNull();
    await world.killBesideScript();
    await world.startDaemon();
    await world.quiet();
    expect((await world.outcome()).phase).toBe("recovering");
    // Its event is on its way when its end is seen: before the answers, as on a socket.
    await world.finishScript();
    await world.pass(LOOK_MS);
    await world.quiet();
    expect(world.removals).toBe(0);
    expect(await world.outcome()).toMatchObject({
      ...{ phase: "connected", held: mark, status: "connected" },
      record: { stage: "connected", attachId: mark },
    });
    expect(world.faults).toEqual([]);
    await world.end();
  });
}
