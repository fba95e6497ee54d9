/** Control groups: they are left again whatever lacks, and who cannot look into one says so. */
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { makeControlGroup, removeControlGroups } from "../../../platform/linux/control_group.ts";
import { sys } from "../../../platform/kernel.ts";
import { until } from "../../support/daemon_process.ts";
import { explainMissing } from "../../real/requirements.ts";

// asm-generic/errno-base.h
const EMFILE = 24;
const NAME = `xdevd-test-${process.pid}`;

/** This process's groups, as the kernel tells it. */
const place = () => fs.readFileSync("/proc/self/cgroup", "utf8");
const hasPids = /^\d+:[^:]*\bpids\b/m.test(place()) ||
  fs.existsSync("/sys/fs/cgroup/cgroup.subtree_control");
const missing = explainMissing("control groups", {
  root: true,
  lacking: hasPids ? null : "a controller `pids`",
});
if (missing !== null) console.error(missing);

describe.if(missing === null)("a control group", () => {
  afterEach(async () => {
    await until(() => removeControlGroups(NAME), () => `${NAME} cannot be removed`);
  });

  test("is left again when no descriptor is left", () => {
    const group = makeControlGroup(NAME, 8);
    const before = place();
    const open = fs.readdirSync("/proc/self/fd").length;
    const within = group.around(() => {
      const seen = place();
      // From here on, nothing can be opened.
      spy = spyOn(sys, "open").mockImplementation(() => -EMFILE);
      return seen;
    });
    spy.mockRestore();
    expect(within).toContain(NAME);
    expect(place()).toBe(before);
    expect(fs.readdirSync("/proc/self/fd").length).toBe(open);
  });
  let spy: ReturnType<typeof spyOn>;

  test("that cannot be entered is not entered, and nothing is made", () => {
    const group = makeControlGroup(NAME, 8);
    const before = place();
    const { open } = sys;
    for (const file of ["pids.max", "/cgroup.procs"]) {
      spy = spyOn(sys, "open").mockImplementation((at, path, ...rest) =>
        new TextDecoder().decode(path).endsWith(`${file}\0`) ? -EMFILE : open(at, path, ...rest)
      );
      try {
        expect(() => group.around(() => expect.unreachable())).toThrow("EMFILE");
      } finally {
        spy.mockRestore();
      }
      expect(place()).toBe(before);
    }
  });

  test("whose processes nobody can list is not empty", async () => {
    const group = makeControlGroup(NAME, 8);
    const child = group.around(() => Bun.spawn(["sleep", "60"]));
    const { open } = sys;
    spy = spyOn(sys, "open").mockImplementation((at, path, ...rest) =>
      new TextDecoder().decode(path).endsWith("cgroup.procs\0") ? -EMFILE : open(at, path, ...rest)
    );
    try {
      expect(() => group.killAll()).toThrow("EMFILE");
    } finally {
      spy.mockRestore();
    }
    expect(group.remove()).toBeFalse();
    expect(removeControlGroups(NAME)).toBeFalse();
    group.killAll();
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    await until(() => group.remove(), () => "it cannot be removed");
  });

  test("does not end the process that passes through it", () => {
    const group = makeControlGroup(NAME, 8);
    group.around(() => group.killAll());
    expect(place()).not.toContain(NAME);
  });

  test("nobody knows of any when the list of groups cannot be read", () => {
    spy = spyOn(sys, "open").mockImplementation(() => -EMFILE);
    try {
      expect(() => removeControlGroups(NAME)).toThrow("EMFILE");
      expect(() => makeControlGroup(join(NAME), 8)).toThrow("EMFILE");
    } finally {
      spy.mockRestore();
    }
  });
});
