/** The list of backends that is made for a binary says of each what our own list does. */
import { expect, test } from "bun:test";
import { builtIns } from "../../built_in.ts";
import { builtInsSource } from "../../compile/sources.ts";

test("a chosen backend has all that it has in built_in.ts", () => {
  for (const { manifest: { name }, openServer } of builtIns) {
    const source = builtInsSource([name]);
    expect(source).toContain(`import("./backends/${name}/plugin.ts")`);
    expect([name, source.includes(`openServer: async () => (await import("./backends/${name}/`)])
      .toEqual([name, openServer !== undefined]);
  }
  expect(builtIns.some(({ openServer }) => openServer !== undefined)).toBe(true);
});
