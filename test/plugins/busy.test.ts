/** How a plugin says that what it needs is in use, by either carrier. */
import { expect, test } from "bun:test";
import { busyError } from "../../contract/v1/plugin.ts";
import { busyOf } from "../../core/daemon/plugin/busy.ts";
import { errorOf } from "../../core/daemon/plugin/guard.ts";
import { ProtocolFault } from "../../plugins/process/frames.ts";
import { parseMessage } from "../../plugins/process/messages.ts";

const holders = [{ kind: "vbd", frontendDomid: 7, devid: 51712 }];

test("a module throws it, through whatever its error passes", () => {
  expect(busyOf(busyError("in use", holders))).toEqual({ holders });
  expect(busyOf(errorOf(busyError("in use\nby another", holders)))).toEqual({ holders });
  expect(busyOf(new Error("more", { cause: busyError("in use") }))).toEqual({ holders: [] });
});

test("other failures are none, whatever they look like", () => {
  const looksLike = (busy: unknown) => Object.assign(new Error("EBUSY"), { code: "EBUSY", busy });
  for (const busy of [undefined, null, true, {}, { holders: 1 }, { holders: [{ kind: "../x" }] }]) {
    expect(busyOf(looksLike(busy))).toBeNull();
  }
  expect(busyOf("text")).toBeNull();
});

test("a process says it in its answer, which is checked", () => {
  const failed = { type: "failed", call: 1, error: "in use" } as const;
  expect(parseMessage({ ...failed, busy: { holders } })).toEqual({ ...failed, busy: { holders } });
  expect(parseMessage(failed)).toEqual(failed);
  const many = Array(65).fill(holders[0]);
  for (const busy of ["yes", { holders: [{}] }, { holders: many }]) {
    expect(() => parseMessage({ ...failed, busy })).toThrow(ProtocolFault);
  }
});
