/** One table of capabilities: what is planted in it is everywhere; what it lacks fails the check. */
import { beforeEach, describe, expect, test } from "bun:test";
import { argv, ENTRIES_MAX, LIST_MAX, number, TEXT_MAX } from "../../contract/v1/arguments.ts";
import {
  CAPABILITIES,
  type Capabilities,
  type CapabilityTable,
  carries,
  type DeviceFunctions,
  type ProgramFunctions,
} from "../../contract/v1/capabilities.ts";
import type { Device } from "../../contract/v1/plugin.ts";
import { intercept } from "../../core/daemon/plugin/guard.ts";
import { CallLocks, useCapability } from "../../plugins/process/capabilities.ts";
import { capabilityReference } from "../../tools/docs/capability_reference.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";

const { signal } = new AbortController();

let device: FakeDevice;
beforeEach(() => {
  const id = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 0 };
  device = new FakeDevice(new FakeMachine(), id, {});
});

function ask(
  device: Device,
  name: string,
  args: readonly unknown[],
  table?: Capabilities,
): Promise<unknown> {
  return useCapability({ device, signal, locks: new CallLocks() }, name, args, table);
}

describe("a capability that is planted", () => {
  const row = { args: [number("how many")], value: "how many there are" };
  const planted: Capabilities = { ...CAPABILITIES, "nodes.count": row };

  beforeEach(() => {
    Object.assign(device.nodes, { count: async (more: number) => 3 + more });
  });

  test("is had by modules, after whoever stands between, and its arguments are checked", async () => {
    const used: unknown[] = [];
    const seen = intercept(device, (name, args) => void used.push(name, args), planted);
    const nodes = seen.nodes as unknown as { count(more: unknown): Promise<number> };
    expect(await nodes.count(4)).toBe(7);
    expect(used).toEqual(["nodes.count", [4]]);
    await expect(nodes.count("4")).rejects.toThrow("expected how many, a number");
  });

  test("fails where a check makes it fail, before anything is done", async () => {
    let done = false;
    Object.assign(device.nodes, { count: async () => void (done = true) });
    const seen = intercept(device, (name) => {
      if (name === "nodes.count") throw new Error("made up");
    }, planted);
    const nodes = seen.nodes as unknown as { count(more: unknown): Promise<number> };
    await expect(nodes.count(4)).rejects.toThrow("made up");
    expect(done).toBeFalse();
  });

  test("is had by programs, and its arguments are checked", async () => {
    expect(await ask(device, "nodes.count", [1], planted)).toBe(4);
    await expect(ask(device, "nodes.count", [], planted)).rejects.toThrow("expected how many");
    await expect(ask(device, "nodes.count", [1])).rejects.toThrow("there is no capability");
  });

  test("is in the reference", () => {
    expect(capabilityReference(planted)).toContain(
      "| `nodes.count` | how many | how many there are |",
    );
  });

  test("is kept from a carrier that may not have it", async () => {
    const table: Capabilities = { "nodes.count": { ...row, carriers: ["module"] } };
    await expect(ask(device, "nodes.count", [1], table)).rejects.toThrow("there is no capability");
    expect(capabilityReference(table)).not.toContain("nodes.count");
    const other: Capabilities = { "nodes.count": { ...row, carriers: ["process"] } };
    expect(intercept(device, () => {}, other).nodes).toBeUndefined();
  });
});

test("what is missing on one side fails the check of types", () => {
  type All = CapabilityTable<DeviceFunctions & ProgramFunctions>;
  const { "nodes.read": _, ...others } = CAPABILITIES;
  // @ts-expect-error: a device can do it, and the table has no row
  const unlisted: All = others;
  // @ts-expect-error: a row, and nothing that does it
  const unmade = { ...CAPABILITIES, "nodes.count": { args: [] } } satisfies All;
  // @ts-expect-error: the argument is a text
  const mistaken: All = { ...CAPABILITIES, "nodes.read": { args: [number("name")] } };
  // @ts-expect-error: it has an argument
  const shorter: All = { ...CAPABILITIES, "nodes.read": { args: [] } };
  // @ts-expect-error: a device without what a row says
  const incomplete: Device["nodes"] = { read: device.nodes.read, write: device.nodes.write };
  expect([unlisted, unmade, mistaken, shorter, incomplete]).toHaveLength(5);
});

test("every row is a function of a device, or the programs' own", async () => {
  const own: (keyof ProgramFunctions)[] = ["system.lock", "system.unlock"];
  const missing = Object.entries(CAPABILITIES as Capabilities).filter(([name, row]) => {
    if (!carries(row, "module")) return !(own as string[]).includes(name);
    const words = name.replace(/^(blocks|links)\./, "system.$1.").split(".");
    const found = words.reduce<unknown>(
      (part, word) => (part as Record<string, unknown> | undefined)?.[word],
      device,
    );
    return typeof found !== "function";
  });
  expect(missing).toEqual([]);
});

describe("arguments have bounds", () => {
  const long = "x".repeat(TEXT_MAX + 1);
  test.each<[string, unknown[], RegExp]>([
    ["nodes.read", [long], /the node's name, a text of at most 65536 bytes/],
    ["nodes.read", ["é".repeat(TEXT_MAX / 2 + 1)], /a text of at most 65536 bytes/],
    [
      "nodes.write",
      [{ a: long, b: long }],
      /expected nodes, a map of texts, of at most 1024 entries, 131072 bytes; this is a map$/,
    ],
    [
      "nodes.write",
      [Object.fromEntries(Array.from({ length: ENTRIES_MAX + 1 }, (_, at) => [`n${at}`, ""]))],
      /expected nodes, a map of texts, of at most 1024 entries/,
    ],
    ["recordUndo", [{ [long]: long }], /an undo record, a map of .*, of at most/],
    ["system.run", [["/bin/true", ...new Array(ENTRIES_MAX).fill("x")]], /at most 1024 entries/],
    ["system.run", [["/bin/true", "x".repeat(LIST_MAX)]], /131072 bytes/],
    [
      "system.run",
      [["/bin/true", "a\0b"]],
      /an array of texts without NUL, .*; this is \["\/bin\/true", …\]$/,
    ],
    ["system.run", [["true"]], /the first an absolute path, .*; this is \["true", …\]$/],
    [
      "children.start",
      ["a/b", ["/bin/true"]],
      /expected the process's name, letters, .*; this is "a\/b"$/,
    ],
    ["deviceModel.start", [["/qemu"], { "A=B": "c" }], /variable "A=B"; expected a name without =/],
    ["deviceModel.start", [["/qemu"], { "": "c" }], /variable ""/],
    ["system.lock", ["x".repeat(4097)], /the lock's name, a text of at most 4096 bytes/],
    ["links.setMtu", ["eth0", NaN], /expected an MTU, a number/],
    ["holders", ["a", "b", "constructor"], /expected any or other guests/],
    ["blocks.loops", [{ file: 7 }], /expected bounds with file, a text/],
  ])("%s", async (name, args, reason) => {
    await expect(ask(device, name, args)).rejects.toThrow(reason);
  });

  test("just within them, they are taken", () => {
    expect(argv.check(["/bin/true", "x".repeat(LIST_MAX - 9)])).toHaveLength(2);
    expect(argv.check(["/bin/true", ...new Array(ENTRIES_MAX - 1).fill("x")])).toHaveLength(1024);
  });

  test.each(["constructor", "__proto__", "toString", "hasOwnProperty"])(
    "there is no capability %s",
    async (name) => {
      await expect(ask(device, name, [])).rejects.toThrow(`there is no capability "${name}"`);
    },
  );

  test("a call holds no more locks than it may", async () => {
    const call = { device, signal, locks: new CallLocks() };
    for (let at = 0; at < 64; at++) await useCapability(call, "system.lock", [`lock ${at}`]);
    await expect(useCapability(call, "system.lock", ["one more"])).rejects.toThrow(/at most 64/);
    await useCapability(call, "system.unlock", ["lock 0"]);
    await useCapability(call, "system.lock", ["one more"]);
    call.locks.giveAll();
  });
});
