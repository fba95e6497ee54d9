/** Names that somebody else chooses: only what a table itself has counts. */
import { expect, test } from "bun:test";
import { isGatewayDevice, isInterfaceName } from "../../contract/v1/interface_name.ts";
import { own } from "../../contract/v1/own.ts";

test.each(Object.getOwnPropertyNames(Object.prototype))("%s is in no table", (name) => {
  expect(own({ a: "b" }, name)).toBeUndefined();
  expect(own(JSON.parse(`{${JSON.stringify(name)}: "its own"}`), name)).toBe("its own");
});

test.each(["eth0", "vif7.0-emu", "a+b", "a!b", "a@b", "Ä", "x".repeat(15)])(
  "%s is the name of an interface",
  (name) => expect([isInterfaceName(name), isGatewayDevice(name)]).toEqual([true, true]),
);

test.each([
  "eth+",
  "+",
  "!",
  "!eth0",
  "@eth0",
  "-i",
  "",
  "all",
  "a b",
  "a/b",
  "a%d",
  "x".repeat(16),
])(
  "%s is none",
  (name) => expect([isInterfaceName(name), isGatewayDevice(name)]).toEqual([false, false]),
);

test.each([["eth0:1", true], ["eth0:", true], ["eth+:1", false], [":1", false], [
  "eth0:-;",
  false,
]])(
  "%s with a label: %p",
  (text, fits) => expect([isInterfaceName(text), isGatewayDevice(text)]).toEqual([false, fits]),
);
