/** Device identities, and the paths that name them. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  backendPath,
  backendRoot,
  frontendPath,
  parseBackendPath,
  placeOf,
} from "../../../core/xen/device_id.ts";
import { parseState, stateName } from "../../../core/xen/states.ts";

const ids = fc.record({
  backendDomid: fc.integer({ min: 0, max: 32751 }),
  kind: fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,14}$/),
  frontendDomid: fc.integer({ min: 0, max: 32751 }),
  devid: fc.integer({ min: 0, max: 0xffffffff }),
});

describe("backend paths", () => {
  test("what is printed is read back; so is any node below, as a place", () => {
    fc.assert(fc.property(ids, fc.stringMatching(/^[a-z]{1,9}(\/[a-z]{1,9})?$/), (id, below) => {
      expect(parseBackendPath(backendPath(id))).toEqual(id);
      const place = placeOf(`${backendPath(id)}/${below}`, id.backendDomid);
      expect(place).toEqual({ at: "device", id });
      expect(parseBackendPath(`${backendPath(id)}/${below}`)).toBeUndefined();
    }));
  });

  test.each([
    "/local/domain/1/backend/vbd/7",
    "/local/domain/1/backend/vbd/7/",
    "/local/domain/1/backend/vbd/07/1",
    "/local/domain/01/backend/vbd/7/1",
    "/local/domain/1/backend/vbd/+7/1",
    "/local/domain/1/backend/vbd/7/-1",
    "/local/domain/1/backend/vbd/7/0x10",
    "/local/domain/1/backend/vbd/7/4294967296",
    "/local/domain/1/backend/vbd/32752/1",
    "/local/domain/32752/backend/vbd/7/1",
    "/local/domain/1/backend/averylongkindname/7/1",
    "/local/domain/1/backend/VBD/7/1",
    "/local/domain/1/backend//7/1",
    "/local/domain/1/frontend/vbd/7/1",
    "x/local/domain/1/backend/vbd/7/1",
  ])("%s names no device", (path) => {
    expect(parseBackendPath(path)).toBeUndefined();
  });

  test("whatever is accepted is canonical", () => {
    const part = fc.oneof(
      fc.constantFrom(
        "",
        "0",
        "00",
        "7",
        "07",
        "32751",
        "32752",
        "4294967295",
        "4294967296",
        "vbd",
      ),
      fc.constantFrom(
        "VBD",
        "+1",
        "-1",
        "1e3",
        "0x7",
        " 7",
        "7 ",
        "٧",
        "x".repeat(15),
        "x".repeat(16),
      ),
      fc.nat().map(String),
      fc.string({ maxLength: 16 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), fc.boolean(), (parts, known) => {
        const path = `/local/domain/${known ? "3" : parts[0]}/backend/${parts.slice(1).join("/")}`;
        const id = parseBackendPath(path);
        if (id !== undefined) expect(backendPath(id)).toBe(path);
        const place = placeOf(path, 3);
        if (place.at === "device") {
          expect(`${path}/`).toStartWith(`${backendPath(place.id)}/`);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(parseBackendPath("/local/domain/3/backend/xxxxxxxxxxxxxxx/32751/4294967295"))
      .toMatchObject({ frontendDomid: 32751, devid: 4294967295 });
  });

  test("places above devices, and elsewhere", () => {
    const root = backendRoot(1);
    for (const path of [root, `${root}/vbd`, `${root}/vbd/7`]) {
      expect(placeOf(path, 1)).toEqual({ at: "above", path });
    }
    for (const path of ["/", "/local/domain/1", `${root}x/vbd`, backendRoot(12), `${root}/VBD`]) {
      expect(placeOf(path, 1)).toEqual({ at: "elsewhere" });
    }
  });

  test("frontends", () => {
    const id = { backendDomid: 1, kind: "qdisk", frontendDomid: 7, devid: 0 };
    expect(frontendPath(id, "vbd")).toBe("/local/domain/7/device/vbd/0");
    expect(frontendPath(id, "console")).toBe("/local/domain/7/console");
    expect(frontendPath({ ...id, devid: 1 }, "console")).toBe("/local/domain/7/device/console/1");
    expect(frontendPath(id, "vuart")).toBe("/local/domain/7/vuart/0");
  });
});

test("states: one digit and nothing else", () => {
  for (let state = 0; state <= 8; state++) expect(parseState(String(state))).toBe(state as never);
  for (const text of ["", "9", "04", "4 ", " 4", "4\n", "-1", "banana", "４"]) {
    expect(parseState(text)).toBeUndefined();
  }
  expect(stateName(2)).toBe("2 (InitWait)");
});
