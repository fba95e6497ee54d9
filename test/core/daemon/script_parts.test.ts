/** What a version 2 script is run with: processes that an earlier caller has left are told of when they were ended. */
import { expect, test } from "bun:test";
import { v2Parts } from "../../../core/daemon/capabilities/script_parts.ts";
import { OPERATION_VARIABLE } from "../../../core/daemon/device/orphans.ts";
import type { Log } from "../../../core/log/log.ts";

test("of those that had to be ended one line tells, of those that ended by themselves none", async () => {
  const lines: string[] = [];
  const asked: [string, number][] = [];
  let hadToBe = false;
  const orphans = {
    ended: async (operation: string, ms: number) => {
      asked.push([operation, ms]);
      return hadToBe;
    },
  };
  const scripts = { policy: {}, limits: { killGraceMs: 1 }, path: "/bin", environment: { A: "1" } };
  const id = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
  const parts = await v2Parts(
    id,
    { orphans, scripts } as never,
    { limits: {}, orphanMs: 17 } as never,
    { of: async () => "/hotplug/x" } as never,
    { warning: (line: string) => lines.push(line) } as unknown as Log,
    { [OPERATION_VARIABLE]: "mine" },
  );
  expect(parts).toMatchObject({ operation: "mine", directory: "/hotplug/x" });
  expect(parts.environment).toEqual({ PATH: "/bin", A: "1", [OPERATION_VARIABLE]: "mine" });
  await parts.awaitOrphans("theirs");
  expect(lines).toEqual([]);
  hadToBe = true;
  await parts.awaitOrphans("theirs");
  expect(lines).toEqual(["processes of a script that had lost its caller were ended"]);
  expect(asked).toEqual([["theirs", 17], ["theirs", 17]]);
});
