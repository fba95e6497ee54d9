/** Locks on files: who could not look, or not lock, does not say that somebody else has it. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockFile } from "../../../platform/io/flock.ts";
import { LogFile } from "../../../platform/io/log_file.ts";
import { sys } from "../../../platform/kernel.ts";

// asm-generic/errno-base.h, errno.h
const [EIO, ENOLCK, EROFS] = [5, 37, 30];

let directory: string;
let path: string;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "xdevd-flock-"));
  path = join(directory, "lock");
});

afterEach(() => fs.rmSync(directory, { recursive: true }));

const descriptors = () => fs.readdirSync("/proc/self/fd").length;

describe("a lock", () => {
  test("is one holder's, until that gives it back", async () => {
    const mine = await lockFile(path, 0o600);
    expect(await lockFile(path, 0o600)).toBeNull();
    mine!.remove();
    expect(fs.existsSync(path)).toBeFalse();
    const next = await lockFile(path, 0o600);
    expect(next).not.toBeNull();
    next!.remove();
  });

  test("that the file system does not give is no other holder's", async () => {
    const before = descriptors();
    const spy = spyOn(sys, "flock").mockImplementation(() => -ENOLCK);
    try {
      await expect(lockFile(path, 0o600)).rejects.toMatchObject({ code: "ENOLCK" });
      expect(() => LogFile.begin(path)).toThrow("ENOLCK");
    } finally {
      spy.mockRestore();
    }
    expect(descriptors()).toBe(before);
  });

  test("whose file cannot be looked at ends with that, and not in a search without end", async () => {
    const before = descriptors();
    const { stat, flock } = sys;
    let locked = false;
    const lock = spyOn(sys, "flock").mockImplementation((...args) => {
      locked = true;
      return flock(...args);
    });
    const spy = spyOn(sys, "stat").mockImplementation((...args) => locked ? -EIO : stat(...args));
    try {
      await expect(lockFile(path, 0o600)).rejects.toMatchObject({ code: "EIO" });
    } finally {
      spy.mockRestore();
      lock.mockRestore();
    }
    expect(descriptors()).toBe(before);
    expect(await lockFile(path, 0o600)).not.toBeNull();
  });

  test("is given back where its file cannot be removed", async () => {
    const mine = await lockFile(path, 0o600);
    mine!.write("17\n");
    const spy = spyOn(sys, "unlink").mockImplementation(() => -EROFS);
    try {
      mine!.remove();
    } finally {
      spy.mockRestore();
    }
    expect(fs.readFileSync(path, "utf8")).toBe("17\n");
    const next = await lockFile(path, 0o600);
    expect(next).not.toBeNull();
    next!.remove();
  });
});
