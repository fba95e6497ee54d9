import { expect, test } from "bun:test";
import { count, readResults } from "./host/results.ts";

test("checks, figures and the end are read from a serial line", () => {
  const results = readResults(
    "noise\r\n@passed stop: it succeeds\r\n@failed ... no process is left (status 1)\r\n" +
      "    why: @passed nothing\r\n@note Overall exposure 4.2\r\n@done\r\n",
  );
  expect(results).toEqual({
    checks: [
      { what: "stop: it succeeds", passed: true },
      { what: "stop: no process is left (status 1)", passed: false },
    ],
    notes: ["Overall exposure 4.2"],
    done: true,
  });
  expect(count(results)).toEqual({ passed: 1, failed: 1 });
});

test("a machine that stopped in the middle has failed, whatever passed", () => {
  const results = readResults("@passed boot: the service is active\r\n@pas");
  expect(count(results)).toEqual({ passed: 1, failed: 1 });
});
