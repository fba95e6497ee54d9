/** Which processes are those of an operation, and how they are ended. */
import { expect, test } from "bun:test";
import { OPERATION_VARIABLE, Orphans } from "../../../core/daemon/device/orphans.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { FakeProcesses } from "../../support/fake_processes.ts";

const clock = new FakeClock();

function machine(...marks: string[]) {
  const table = new FakeProcesses();
  for (const mark of marks) table.add(["/s"], { [OPERATION_VARIABLE]: mark });
  return { table, orphans: new Orphans(table, clock) };
}

async function done(work: Promise<unknown>): Promise<unknown> {
  let ended: unknown = null;
  work.then((value) => ended = value ?? "done", (error: Error) => ended = error.message);
  for (let ms = 0; ms < 20_000 && ended === null; ms += 10) await clock.advance(10);
  return ended;
}

test("those that bear its mark, with a part of their own or without, and no others", async () => {
  const { table, orphans } = machine("op", "op/1", "op2", "o", "other/op");
  expect(await done(orphans.end("op", "SIGTERM"))).toBe("done");
  expect(table.alive.map(({ env }) => env[OPERATION_VARIABLE])).toEqual(["op2", "o", "other/op"]);
});

test("those that ignore TERM get KILL; those that begin meanwhile, too", async () => {
  const { table, orphans } = machine("op");
  table.all[0]!.ignores.add("SIGTERM");
  const signal = table.signal.bind(table);
  let born = 0;
  table.signal = (pid, name) => {
    if (name === "SIGKILL" && born++ < 3) table.add(["/s"], { [OPERATION_VARIABLE]: `op/${born}` });
    return signal(pid, name);
  };
  expect(await done(orphans.end("op", "SIGTERM"))).toBe("done");
  expect([born, table.alive]).toEqual([4, []]);
  expect(table.all[0]!.signals).toEqual(["SIGTERM", "SIGKILL"]);
});

test("one that is between two programs, and has no environment at the moment, is not missed", async () => {
  const { table, orphans } = machine("op");
  const look = table.withVariable.bind(table);
  let looks = 0;
  table.withVariable = async (name) => looks++ === 0 ? new Map() : await look(name);
  expect(await done(orphans.end("op", "SIGKILL"))).toBe("done");
  expect(table.alive).toEqual([]);
});

test("one that nothing ends is told of", async () => {
  const { table, orphans } = machine("op");
  for (const name of ["SIGTERM", "SIGKILL"]) table.all[0]!.ignores.add(name);
  expect(await done(orphans.end("op", "SIGKILL"))).toMatch(
    /^processes \d+ of an earlier operation do not end$/,
  );
});
