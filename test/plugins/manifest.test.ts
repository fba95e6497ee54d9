/** Manifests: found in any language's comments, and refused with the field's name. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  checkContract,
  checkManifest,
  difference,
  frontendKindOf,
  manifestInText,
  manifestLine,
  proofOf,
} from "../../core/daemon/plugin/manifest.ts";
import type { PluginManifest } from "../../contract/v1/plugin.ts";
import { testManifest } from "../support/plugin_files.ts";

describe("a manifest", () => {
  test.each(["//", "#", "--", ";", " *", "%%"])("in a comment that begins with %s", (comment) => {
    const manifest = testManifest({ description: "a {curly} one" });
    const text = `first line\n${manifestLine(manifest, comment)}\nthe rest`;
    expect(manifestInText(text)).toEqual(manifest);
  });

  test("in one line with its comment's end", () => {
    const text = `/* xdevd-plugin: ${JSON.stringify(testManifest())} */`;
    expect(manifestInText(text)).toEqual(testManifest());
  });

  test("is not found where there is none, nor far behind", () => {
    expect(manifestInText("#!/bin/sh\n")).toBeUndefined();
    expect(manifestInText("\n".repeat(20_000) + manifestLine(testManifest()))).toBeUndefined();
  });

  test("survives being written and read", () => {
    fc.assert(fc.property(fc.string({ minLength: 1, maxLength: 60 }), (description) => {
      fc.pre(!/[\p{Cc}\p{Cf}]/u.test(description));
      const manifest = testManifest({ description });
      expect(manifestInText(manifestLine(manifest))).toEqual(manifest);
    }));
  });

  test.each([
    [{ name: undefined }, "its manifest has no name"],
    [{ name: "Big" }, 'its manifest has name "Big"; expected 1 to 32 lower case letters'],
    [{ name: "../x" }, "expected 1 to 32 lower case letters"],
    [{ version: 3 }, "its manifest has version 3; expected a text"],
    [{ api: "1" }, 'its manifest has api "1"; expected a whole number'],
    [{ kinds: [] }, "its manifest has kinds []; expected a list of backend kinds"],
    [{ kinds: ["a/b"] }, "expected a list of backend kinds"],
    [{ kinds: ["much-too-long-kind"] }, "at most 15 characters"],
    [{ carrier: "pigeon" }, 'its manifest has carrier "pigeon"; expected module or process'],
    [{ results: ["../state"] }, "expected a list of node names"],
    [{ waitsForBackend: "no" }, "expected true or false"],
    [{ description: "two\nlines" }, "expected a text of 1 to 200 characters"],
    [{ sample: { backend: { a: 1 } } }, "expected an object of backend, files and settings"],
    [{ frontendKind: 1 }, "expected a kind, or an object of backend kinds and frontend kinds"],
    [{ frontendKind: { qdisk: "../vbd" } }, "expected a kind, or an object of backend kinds"],
  ])("%j is refused", (more, reason) => {
    expect(() => checkManifest({ ...testManifest(), ...more })).toThrow(reason);
  });

  test("that is not JSON", () => {
    expect(() => manifestInText("# xdevd-plugin: {name: x}")).toThrow(/its manifest is not JSON/);
  });

  const pages = [{ references: ["ring-ref"], access: "write", clearOnUnmap: 4 }];

  test("with a server", () => {
    const server = { features: { "feature-x": "1" }, pages, nodes: ["a/b"], eventsPerSecond: 9 };
    const manifest = checkManifest({ ...testManifest(), api: 2, server });
    expect(manifest.server).toEqual(server as PluginManifest["server"]);
    expect(proofOf(manifest)).toEqual(["state"]);
    expect(() => checkManifest({ ...testManifest(), server })).toThrow("takes api 2");
    expect(() => checkManifest({ ...testManifest(), api: 2, carrier: "process", server }))
      .toThrow("a plugin that is a module");
  });

  test.each([
    [[]],
    [{}],
    [{ pages: [{ references: [], access: "write" }] }],
    [{ pages: [{ references: ["../x"], access: "write" }] }],
    [{ pages: [{ references: ["x"], access: "all" }] }],
    [{ pages: [{ references: ["x"], access: "read", clearOnUnmap: 0 }] }],
    [{ pages: [{ references: ["x"], access: "write", clearOnUnmap: 4096 }] }],
    [{ pages: [{ references: Array(17).fill("x"), access: "read" }] }],
    [{ pages: [{ references: ["x"], access: "read", more: 1 }] }],
    [{ pages: Array(9).fill(pages[0]) }],
    [{ pages, eventsPerSecond: 0 }],
    [{ pages, eventsPerSecond: 1.5 }],
    [{ pages, eventChannel: "/x" }],
    [{ pages, nodes: Array(33).fill("x") }],
    [{ pages, features: { "../x": "1" } }],
    [{ pages, features: { x: 1 } }],
    [{ pages, surprise: 1 }],
  ])("with a server that is %j is refused", (server) => {
    expect(() => checkManifest({ ...testManifest(), api: 2, server })).toThrow(
      "its manifest has server",
    );
  });

  test("for another contract", () => {
    expect(() => checkContract(1)).not.toThrow();
    expect(() => checkContract(2)).not.toThrow();
    expect(() => checkContract(3)).toThrow(
      "it was written for contract 3; this xdevd serves contract 1, 2: a newer xdevd is needed",
    );
    expect(() => checkContract(0)).toThrow("a newer version of the plugin is needed");
  });

  test("must be what the code says, but for what is for people", () => {
    const manifest = testManifest({ description: "for people" });
    expect(difference(manifest, testManifest())).toBeNull();
    expect(difference(manifest, testManifest({ kinds: ["x"] })))
      .toBe('its manifest says kinds ["test"], its code ["x"]');
    expect(difference(manifest, testManifest({ frontendKind: "vbd" })))
      .toBe('its manifest says frontendKind nothing, its code "vbd"');
  });

  test("has one frontend kind for all of its kinds, or one for each", () => {
    expect(frontendKindOf(testManifest(), "test")).toBe("test");
    expect(frontendKindOf(testManifest({ frontendKind: "vbd" }), "test")).toBe("vbd");
    const each = testManifest({ frontendKind: { qdisk: "vbd", xen_9pfs: "9pfs" } });
    const kinds = ["qdisk", "xen_9pfs", "vfb", "constructor"];
    expect(kinds.map((kind) => frontendKindOf(each, kind)))
      .toEqual(["vbd", "9pfs", "vfb", "constructor"]);
  });
});
