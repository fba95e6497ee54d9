/** Reading ahead what a plugin is going to ask for. */
import { beforeEach, describe, expect, test } from "bun:test";
import { Prefetch, type ReadAhead } from "../../../core/daemon/device/prefetch.ts";
import { FakeClock } from "../../support/fake_clock.ts";

let clock: FakeClock;
let reads: Prefetch;

beforeEach(() => {
  clock = new FakeClock();
  reads = new Prefetch();
});

function ahead(nodes: Record<string, string | undefined>): ReadAhead {
  return { attachId: "t", at: clock.now(), nodes: new Map(Object.entries(nodes)) };
}

describe("what is read ahead", () => {
  test("is what the add before asked for until it had its first answer, by kind", () => {
    const add = reads.open("vbd", clock, null);
    expect(add.take("params")).toBeNull();
    expect(add.take("mode")).toBeNull();
    expect(add.take("params")).toBeNull();
    add.end();
    add.take("state");
    add.end();
    expect(reads.namesOf("vbd")).toEqual(["params", "mode"]);
    expect(reads.namesOf("vif")).toEqual([]);
  });

  test("is bounded", () => {
    const add = reads.open("vbd", clock, null);
    for (let number = 0; number < 100; number++) add.take(`node${number}`);
    add.end();
    expect(reads.namesOf("vbd")).toHaveLength(16);
  });

  test("answers as often as it is asked, also that there is no such node; not what was not read", () => {
    const add = reads.open("vbd", clock, ahead({ params: "/disk", mode: undefined }));
    expect(add.take("params")).toEqual({ value: "/disk" });
    expect(add.take("params")).toEqual({ value: "/disk" });
    expect(add.take("mode")).toEqual({ value: undefined });
    expect(add.take("script")).toBeNull();
    add.end();
    expect(reads.namesOf("vbd")).toEqual(["params", "mode", "script"]);
  });

  test("is not used any more when something was written or answered since", () => {
    const add = reads.open("vbd", clock, ahead({ params: "/disk" }));
    add.end();
    expect(add.take("params")).toBeNull();
  });

  test("is not used any more when anything was used that may change a node", () => {
    for (
      const [capability, used] of [
        ["nodes.read", true],
        ["recordUndo", true],
        ["scripts.run", false],
        ["system.run", false],
        ["blocks.attachLoop", false],
      ] as const
    ) {
      const add = reads.open("vbd", clock, ahead({ params: "/disk" }));
      add.used(capability);
      expect([capability, add.take("params") !== null]).toEqual([capability, used]);
    }
  });

  test("and what was read are told, whoever answered", () => {
    const add = reads.open("vbd", clock, null);
    add.saw("params", "/disk");
    add.end();
    add.saw("params", "/dev/loop0");
    expect(add.seen).toEqual({ params: "/dev/loop0" });
  });

  test("is not used when it is old", async () => {
    const add = reads.open("vbd", clock, ahead({ params: "/disk" }));
    await clock.advance(5);
    expect(add.take("params")).toEqual({ value: "/disk" });
    await clock.advance(1);
    expect(add.take("params")).toBeNull();
  });
});
