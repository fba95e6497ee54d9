/** By script, or without: what the administrator says, and what the machine has. */
import { describe, expect, test } from "bun:test";
import vif from "../../backends/vif/plugin.ts";
import { goesNative } from "../../backends/shared/native_choice.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";
import type { Setting } from "../../contract/v1/plugin.ts";

const ID = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 1 };
const STOCK = "/etc/xen/scripts/block";

function way(script: string, native: Setting | undefined, files: Record<string, string> = {}) {
  const machine = new FakeMachine();
  for (const [path, text] of Object.entries(files)) machine.files.set(path, text);
  const device = new FakeDevice(machine, ID, {});
  device.settings = native === undefined ? {} : { native };
  return goesNative(device, script, (name) => name === "block");
}

const bash = { [STOCK]: "#!/bin/bash\n", "/bin/bash": "" };

describe("the work of a stock script is done without it", () => {
  test.each([
    ["where the script is missing", STOCK, undefined, {}, true],
    ["likewise, by its name alone", "block", undefined, {}, true],
    ["where its interpreter is missing", STOCK, undefined, { [STOCK]: "#!/bin/bash\n" }, true],
    ["not where both are there", STOCK, undefined, bash, false],
    ["not of another script of its name", "/opt/block", undefined, {}, false],
    ["not of a script that nobody knows", "/etc/xen/scripts/block-iscsi", "always", {}, false],
    ["always, if told so", STOCK, "always", bash, true],
    ["always, wherever it is", "/opt/block", "always", bash, true],
    ["never, if told so", STOCK, "never", {}, false],
    ["if it is listed", STOCK, ["block"], bash, true],
    ["if it is listed by its path", "/opt/block", ["/opt/block"], bash, true],
    ["not if others are listed", STOCK, ["vif-bridge"], {}, false],
  ])("%s", async (_, script, native, files, expected) => {
    expect(await way(script, native as Setting, files)).toBe(expected);
  });

  test("a setting that makes no sense is told", async () => {
    await expect(way(STOCK, "sometimes")).rejects.toThrow(
      'setting native is "sometimes"; expected "auto", "always", "never" or a list',
    );
  });
});

test("an interface with an emulated twin stays with its script", async () => {
  const machine = new FakeMachine();
  machine.files.set("/sys/class/net/vif7.0/mtu", "1500");
  const id = { backendDomid: 1, kind: "vif", frontendDomid: 7, devid: 0 };
  const device = new FakeDevice(machine, id, { script: "vif-bridge", type: "vif_ioemu" });
  device.settings = { native: "always" };
  await vif.add(device, new AbortController().signal);
  expect(machine.runs).toEqual(["network vif-bridge add"]);
});
