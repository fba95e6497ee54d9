/** The README's first command, whole. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { programCommand, runProgram, until } from "../support/daemon_process.ts";

test("the demonstration attaches, shows, detaches, and leaves nothing", async () => {
  const { code, stdout, stderr } = await runProgram(["demo"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  // Everybody's part, in the order in which one depends on the other.
  const steps = [
    /kernel +backend\/state = 2/,
    /daemon +xvda \(vbd\/7\/51712\): runs .*block-demo add/,
    /script +backend\/physical-device-path = /,
    /script +backend\/hotplug-status = connected/,
    /kernel +backend\/state = 4/,
    /guest +frontend\/state = 4/,
    /guest +reads 4096 bytes .*the image's own/,
    /toolstack +backend\/online = 0/,
    /kernel +backend\/state = 6/,
    /daemon +xvda \(vbd\/7\/51712\): runs .*block-demo remove/,
    /daemon +backend deleted/,
    /demo +nothing is left/,
  ];
  // The last occurrence of each: two sources of lines may change places where times are equal.
  for (const step of steps) expect(stdout).toMatch(step);
  const at = (step: RegExp) => stdout.search(step);
  for (const [before, after] of [[0, 4], [2, 4], [4, 5], [6, 8], [8, 10], [10, 11]] as const) {
    expect(at(steps[before]!)).toBeLessThan(at(steps[after]!));
  }
  expect(stdout).toMatch(
    /attached in \d+ ms, detached in \d+ ms\n.*`xdevd sandbox`.*`xdevd status`\n$/,
  );
  // What the daemon does, in words; and nothing is detached that is not set up.
  for (const words of ["being set up", "set up", "being undone", "nothing is left of it"]) {
    expect(stdout).toMatch(new RegExp(`daemon +xvda \\(vbd/7/51712\\): ${words}\n`));
  }
  expect(stdout).not.toMatch(/→|being stopped/);
  expect(stdout.search(/daemon +xvda \(vbd\/7\/51712\): set up\n/)).toBeLessThan(at(steps[7]!));
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith("xdevd-demo-"))).toEqual([]);
});

describe("colours", () => {
  const inTerminal = async (env: Record<string, string>): Promise<string> => {
    let output = "";
    const child = Bun.spawn([...programCommand(), "demo"], {
      env: { PATH: process.env["PATH"] ?? "", TERM: "xterm", ...env },
      terminal: {
        cols: 120,
        rows: 40,
        data: (_, data) => output += new TextDecoder().decode(data),
      },
    });
    expect(await child.exited).toBe(0);
    await until(() => output.includes("detached in"), () => output);
    return output;
  };

  test("each actor has one, on a terminal", async () => {
    const output = await inTerminal({});
    const colours = new Map<string, string>();
    // deno-lint-ignore no-control-regex
    for (const [, colour, who] of output.matchAll(/(\x1b\[[\d;]+m)(\w+)\x1b\[0m/g)) {
      expect(colours.get(who!) ?? colour!).toBe(colour!);
      colours.set(who!, colour!);
    }
    expect([...colours.keys()].sort())
      .toEqual(["daemon", "demo", "guest", "kernel", "script", "toolstack"]);
    expect(new Set(colours.values()).size).toBe(6);
  });

  test.each([{ NO_COLOR: "1" }, { TERM: "dumb" }])("not with %p", async (env) => {
    expect(await inTerminal(env)).not.toContain("\x1b");
  });
});
