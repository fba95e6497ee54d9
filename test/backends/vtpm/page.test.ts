/** The page's words are each read once; what swtpm's log says is told in words. */
import { expect, test } from "bun:test";
import { Page, PageError, PageState } from "../../../backends/vtpm/page.ts";
import { readSettings, userOf } from "../../../backends/vtpm/settings.ts";
import { causeIn, OLD_STATE, SWTPM_FILES, swtpmArguments } from "../../../backends/vtpm/swtpm.ts";
import { GuestMemory } from "../../../contract/v2/memory.ts";

/** A guest that changes what was read as soon as it was read. */
class Changing extends GuestMemory {
  readonly reads: string[] = [];

  #change<T>(what: string, offset: number, length: number, value: T): T {
    this.reads.push(`${what} ${offset}`);
    for (let at = offset; at < offset + length; at++) super.write8(at, 0xff);
    return value;
  }

  override read(offset: number, length: number): Uint8Array {
    return this.#change("bytes", offset, length, super.read(offset, length));
  }
  override read8(offset: number): number {
    return this.#change("8", offset, 1, super.read8(offset));
  }
  override read32(offset: number): number {
    return this.#change("32", offset, 4, super.read32(offset));
  }
}

function pageWith(length: number, { locality = 0, extra = 0 } = {}): Changing {
  const memory = new Changing(new ArrayBuffer(4096));
  memory.write32(0, length);
  memory.write8(4, PageState.Submit);
  memory.write8(5, locality);
  memory.write8(7, extra);
  memory.write(8, Uint8Array.from({ length: 4088 }, (_, at) => at));
  return memory;
}

test("what is checked is what is used, whatever the guest writes meanwhile", () => {
  for (const length of [10, 12, 4088]) {
    const memory = pageWith(length, { locality: 3 });
    const { bytes, locality } = new Page(memory).take();
    expect([bytes.length, bytes[9], locality]).toEqual([length, 9, 3]);
    expect(memory.reads).toHaveLength(new Set(memory.reads).size);
    memory.write(8, new Uint8Array(100).fill(0xee));
    expect(bytes[9]).toBe(9);
  }
});

test.each([0, 9, 4089, 4096, 0x8000_000a, 0xffff_ffff])("a length of %p is refused", (length) => {
  expect(() => new Page(pageWith(length)).take()).toThrow(PageError);
});

test("extra pages are refused, before their numbers are looked at", () => {
  const memory = pageWith(12, { extra: 1 });
  expect(() => new Page(memory).take()).toThrow("1 extra pages; expected none");
  expect(memory.reads).not.toContain("bytes 8");
});

test("an answer goes only to who waits, and the state comes last", () => {
  const order: string[] = [];
  class Noting extends GuestMemory {
    override write(offset: number, bytes: Uint8Array): void {
      order.push(`bytes ${offset}`);
      super.write(offset, bytes);
    }
    override write8(offset: number, value: number): void {
      order.push(`8 ${offset}`);
      super.write8(offset, value);
    }
    override write32(offset: number, value: number): void {
      order.push(`32 ${offset}`);
      super.write32(offset, value);
    }
  }
  const memory = new Noting(new ArrayBuffer(4096));
  const page = new Page(memory);
  for (const state of [PageState.Idle, PageState.Finish, 4, 255]) {
    memory.write8(4, state);
    expect(page.answer(Uint8Array.of(1))).toBe(false);
    expect([memory.read8(4), memory.read8(8)]).toEqual([state, 0]);
  }
  for (const state of [PageState.Submit, PageState.Cancel]) {
    memory.write8(4, state);
    order.length = 0;
    expect(page.answer(Uint8Array.of(1, 2, 3))).toBe(true);
    expect(order).toEqual(["bytes 8", "32 0", "8 4"]);
    expect([memory.read32(0), memory.read8(4)]).toEqual([3, PageState.Finish]);
  }
});

test.each([
  ["", ""],
  [
    "Verification of HMAC failed. Data integrity is compromised\nlibtpms/tpm2: Entering failure mode",
    /another key, or with none \(Verification/,
  ],
  ["Unable to open file /etc/key: Permission denied\n", /^its key file cannot be read \(Unable/],
  [
    "SWTPM_NVRAM_Lock_Dir: Could not open lockfile: Read-only file system",
    /cannot write its directory/,
  ],
  ["libtpms/tpm2: NV_HEADER_UnmarshalVerbose: Invalid magic.", /state is corrupt/],
  ["something else\n\n  the last\n", /^the last$/],
])("of the log %p", (log, cause) => {
  if (cause === "") expect(causeIn(log)).toBe("");
  else expect(causeIn(log)).toMatch(cause);
});

test("how swtpm is started", () => {
  const [binary, ...args] = swtpmArguments({
    binary: "/usr/bin/swtpm",
    directory: "/d",
    version: "1.2",
    user: "root",
    keyFile: undefined,
  });
  expect(binary).toBe("/usr/bin/swtpm");
  expect(args).not.toContain("--tpm2");
  expect(args.join(" ")).not.toMatch(/runas|key/);
  for (const name of ["tpm2-00.permall", "tpm-00.savestate", ".lock", "log"]) {
    expect(SWTPM_FILES.test(name)).toBe(true);
  }
  for (const name of ["version", "key-file", ".use", "tpm2-00.permall.bak", "../log"]) {
    expect(SWTPM_FILES.test(name)).toBe(false);
  }
  expect(["tpm2-00.permall", "tpm2-00.volatilestate"].map((name) => OLD_STATE.test(name)))
    .toEqual([false, true]);
});

test("settings, and whom swtpm becomes", () => {
  const settings = readSettings({});
  expect(settings).toEqual({
    binary: "/usr/bin/swtpm",
    user: null,
    creates: true,
    version: "2.0",
    localities: [0],
  });
  expect(userOf(settings, 7)).toBe("2147450887");
  expect(userOf(settings, 32_751)).toBe("2147483631");
  expect(userOf(readSettings({ user: "tss" }), 7)).toBe("tss");
  expect(readSettings({ localities: "0 4" }).localities).toEqual([0, 4]);
  for (
    const [name, value] of [
      ["binary", "swtpm"],
      ["user", "a b"],
      ["user", "-x"],
      ["create", "yes"],
      ["create", true],
      ["version", 2],
      ["localities", ["5"]],
      ["localities", 3],
    ] as const
  ) {
    expect(() => readSettings({ [name]: value })).toThrow(`setting ${name} of plugin vtpm is`);
  }
});
