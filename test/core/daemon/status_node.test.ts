/** What the daemon tells domain 0: bounded, seldom, and nothing at all when nothing has changed. */
import { expect, test } from "bun:test";
import {
  type DomainStatus,
  domainStatusPath,
  encodeDomainStatus,
  parseDomainStatus,
  STATUS_MAX,
} from "../../../core/daemon/control/domain_status.ts";
import { StatusNode } from "../../../core/daemon/control/status_node.ts";
import type { DeviceState } from "../../../core/xen/device_json.ts";
import { ConnectionError, ServerError } from "../../../core/xenstore/errors.ts";
import { FakeClock } from "../../support/fake_clock.ts";

function make() {
  const clock = new FakeClock();
  const written: string[] = [];
  const states = new Map<DeviceState, number>();
  const world = { fails: null as Error | null };
  const store = {
    async write(path: string, text: string) {
      expect(path).toBe(domainStatusPath(1));
      if (world.fails !== null) throw world.fails;
      written.push(text);
    },
  };
  const node = new StatusNode({
    ...{ store: store as never, clock, domid: 1, version: "1.0.0" },
    states: () => states,
    failure: () => undefined,
  });
  return { clock, written, states, node, world };
}

test("changes are told soon, seldom, and once; nothing else wakes it", async () => {
  const { clock, written, states, node } = make();
  node.changed();
  await clock.advance(1_000);
  expect(written).toHaveLength(1);
  expect(clock.pending).toBe(0);
  for (let at = 0; at < 600; at++) {
    states.set("connected", at + 1);
    node.changed();
    await clock.advance(100);
  }
  await clock.advance(20_000);
  // A minute of changes.
  expect(written.length).toBeGreaterThan(3);
  expect(written.length).toBeLessThanOrEqual(9);
  expect(parseDomainStatus(written.at(-1)!)).toMatchObject({
    ...{ version: "1.0.0", ready: true, states: { connected: 600 }, failure: null },
  });
  const count = written.length;
  node.changed();
  await clock.advance(60_000);
  expect(written).toHaveLength(count);
  expect(clock.pending).toBe(0);
  node.changed();
  await node.close();
  expect(JSON.parse(written.at(-1)!)).toMatchObject({ ready: false });
  expect(clock.pending).toBe(0);
});

test("a store that refuses it is asked no more; one that was away is told later", async () => {
  const { clock, written, states, node, world } = make();
  world.fails = new ConnectionError("away");
  node.changed();
  await clock.advance(1_000);
  world.fails = null;
  node.changed();
  await clock.advance(10_000);
  expect(written).toHaveLength(1);
  world.fails = new ServerError("EACCES", "WRITE", "x");
  states.set("failed", 1);
  node.changed();
  await clock.advance(10_000);
  world.fails = null;
  states.set("failed", 2);
  node.changed();
  await clock.advance(10_000);
  await node.close();
  expect(written).toHaveLength(1);
  expect(clock.pending).toBe(0);
});

test("the longest that there can be fits", () => {
  const word = "\u{1f600}".repeat(100);
  const at = "2026-11-30T12:00:00.000Z";
  const status: DomainStatus = {
    ...{ version: "1.0.0", ready: true, at, startedAt: at, states: { connected: 7 } },
    failure: { at, device: "vbd/7/1", code: "failed", message: word.repeat(20) },
  };
  const text = encodeDomainStatus(status);
  expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(STATUS_MAX);
  expect(parseDomainStatus(text)).toMatchObject({ states: { connected: 7 } });
});
