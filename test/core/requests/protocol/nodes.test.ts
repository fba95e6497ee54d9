/** Requests as text: what each side takes from the other, and the document. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  DRIVER_NODES,
  ERROR_MAX,
  REQUEST_NODES,
  REQUEST_STATES,
} from "../../../../core/requests/protocol/nodes.ts";
import {
  backendKindsFor,
  claimPath,
  claimRoot,
  parseServingDevice,
  requestOfPath,
  requestPath,
  requestRoot,
} from "../../../../core/requests/protocol/paths.ts";
import {
  parseReport,
  parseRequest,
  RequestFault,
} from "../../../../core/requests/protocol/request.ts";
import { type Locality, serve } from "../../../../core/requests/protocol/serve.ts";
import { DOCS, DOCUMENTS } from "../../../../tools/docs/documents.ts";
import { REQUEST_DIAGRAMS, requestMermaid } from "../../../../tools/docs/request_diagram.ts";

const ID = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
const NODES = {
  version: "1",
  token: "0123456789abcdef",
  params: "/image",
  script: "",
  "config/mode": "w",
};

describe("the document", () => {
  test("docs/request-protocol.md is up to date (else: npm run docs)", async () => {
    const name = "request-protocol.md";
    expect(readFileSync(join(DOCS, name), "utf8")).toBe(await DOCUMENTS[name]!());
  });

  test("each line of a diagram is a transition, and all states are in it", () => {
    for (const diagram of REQUEST_DIAGRAMS) {
      const [head, ...lines] = requestMermaid(diagram).trimEnd().split("\n");
      expect(head).toBe("stateDiagram-v2");
      for (const line of lines) expect(line).toMatch(/^ {2}\S+ --> \S+( : [^:;{}"]+)?$/);
    }
    for (const state of Object.keys(REQUEST_STATES)) {
      expect(requestMermaid("state")).toMatch(new RegExp(`--> ${state}\\b`));
    }
  });

  test("the driver domain's nodes are the same everywhere", () => {
    const own = Object.entries(REQUEST_NODES)
      .filter(([, { writer }]) => writer === "driver domain").map(([name]) => name);
    expect(own).toEqual([...DRIVER_NODES]);
  });
});

describe("paths", () => {
  test("lead back to the request, from whatever node below", () => {
    fc.assert(fc.property(
      fc.constantFrom("vbd", "vif", "9pfs", "vtpm"),
      fc.nat(32751),
      fc.nat(0xffffffff),
      fc.constantFrom("", "/state", "/config/mode"),
      (kind, frontendDomid, devid, below) => {
        const id = { backendDomid: 3, kind, frontendDomid, devid };
        expect(requestOfPath(requestPath(id) + below, requestRoot(3), 3)).toEqual(id);
        expect(requestOfPath(claimPath(id), claimRoot(3), 3)).toEqual(id);
      },
    ));
    for (
      const path of ["", "/daemon", "/daemon/7/0", "/vbd", "/vbd/07/0", "/vbd/7/-1", "x/vbd/7/0"]
    ) {
      expect(requestOfPath(requestRoot(1) + path, requestRoot(1), 1)).toBeUndefined();
    }
  });

  test("a backend is believed only where it can be", () => {
    const at = (text: string) => parseServingDevice(text, ID);
    expect(at("/local/domain/1/backend/vbd/7/51712")?.kind).toBe("vbd");
    expect(at("/local/domain/1/backend/qdisk/7/51712")?.kind).toBe("qdisk");
    for (
      const text of [
        "",
        "/local/domain/0/backend/vbd/7/51712",
        "/local/domain/1/backend/vbd/8/51712",
        "/local/domain/1/backend/vbd/7/51728",
        "/local/domain/1/backend/vif/7/51712",
        "/local/domain/1/backend/vbd/7/51712/",
        "/local/domain/1/backend/vbd/7/51712/x",
        "/local/domain/01/backend/vbd/7/51712",
        "/local/domain/1/backend/vbd/7/51712\n",
        "/libxl/7/device/vbd/51712",
      ]
    ) expect([text, at(text)]).toEqual([text, undefined]);
  });
});

describe("a request", () => {
  test("is taken, or refused with one line, whatever is in it", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom("1", "../x"));
    const name = fc.oneof(
      fc.constantFrom(...Object.keys(NODES), "config/state", "config/../x", "config/port/1"),
      fc.string().map((end) => `config/${end}`),
    );
    fc.assert(
      fc.property(fc.dictionary(name, text), (more) => {
        try {
          const { config, script } = parseRequest({ ...NODES, ...more });
          for (const key of Object.keys(config)) {
            expect(key).toMatch(/^[A-Za-z0-9][\w-]*(\/[A-Za-z0-9][\w-]*)?$/);
            expect(["state", "online", "frontend", "script", "params"]).not.toContain(key);
          }
          expect(script).not.toMatch(/\.\.|\n|^[^/]+\//);
        } catch (error) {
          expect(error).toBeInstanceOf(RequestFault);
          expect((error as Error).message).toMatch(/^[^\n]+$/);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("what is refused is named, with what would be accepted", () => {
    const refusal = (more: Record<string, string>) => {
      try {
        parseRequest({ ...NODES, ...more });
      } catch (error) {
        return (error as Error).message;
      }
      return undefined;
    };
    expect(refusal({})).toBeUndefined();
    expect(refusal({ version: "2" })).toBe('node version is "2"; expected 1');
    expect(refusal({ token: "x" })).toMatch(/node token is "x"; expected 8 to 64 letters/);
    expect(refusal({ script: "../evil" })).toMatch(/node script is .*; expected an absolute path/);
    expect(refusal({ script: "/etc/../evil" })).toMatch(/node script is/);
    expect(refusal({ "config/state": "1" })).toBe("node config/state is not for a request to set");
    expect(refusal({ "config/xdevd-attach": "x" })).toMatch(/not for a request to set/);
    expect(refusal({ params: "a\nb" })).toMatch(/node params is "a\\nb"; expected one line/);
    expect(refusal({ "config/mac": "x".repeat(3000) })).toMatch(/has 3000 bytes; at most 2048/);
  });

  test.each(["constructor", "__proto__", "tostring", "valueof", "hasownproperty"])(
    "of kind %s is of no kind that there is",
    (kind) => {
      const id = { ...ID, kind };
      const here: Locality = {
        serves: () => false,
        target: "file",
        files: "loop",
        scriptDirectory: "/scripts",
      };
      expect(() => serve(id, parseRequest(NODES), here)).toThrow(
        `no plugin of this driver domain serves kind ${kind}`,
      );
      expect(backendKindsFor(kind)).toEqual([kind]);
      expect(parseServingDevice(`/local/domain/1/backend/${kind}/7/51712`, id)?.kind)
        .toBe(kind === "__proto__" ? undefined : kind);
      // With a plugin for it, it has no script but the one that it names.
      const { nodes } = serve(id, parseRequest(NODES), { ...here, serves: () => true });
      expect(nodes.map(([name]) => name)).not.toContain("script");
      for (const [, value] of nodes) expect(value).toBeString();
    },
  );

  test("is served by what fits", () => {
    const here: Locality = {
      serves: (kind) => kind !== "vbd3",
      target: "file",
      files: "loop",
      scriptDirectory: "/scripts",
    };
    const served = (more: Record<string, string>, where: Partial<Locality> = {}) => {
      const { id, nodes } = serve(ID, parseRequest({ ...NODES, ...more }), { ...here, ...where });
      const { params, script, type, format } = Object.fromEntries(nodes);
      return [id.kind, params, script, type, format];
    };
    const image = ["vbd", "/image", "/scripts/block", "phy", undefined];
    expect(served({})).toEqual(image);
    expect(served({ "config/format": "raw" }, { target: "block device" })).toEqual(image);
    expect(served({}, { files: "qdisk" })).toEqual([
      "qdisk",
      "aio:/image",
      undefined,
      "qdisk",
      undefined,
    ]);
    expect(served({ "config/format": "qcow2" })[1]).toBe("qcow2:/image");
    expect(served({ script: "block-x", params: "iqn=1" }, { target: undefined }))
      .toEqual(["vbd", "iqn=1", "/scripts/block-x", "phy", undefined]);
    for (
      const [more, where, why] of [
        [{ "config/format": "qcow2", script: "block-x" }, {}, /runs no scripts/],
        [{ "config/format": "qcow2", "config/backendtype": "phy" }, {}, /cannot be served by phy/],
        [{ "config/backendtype": "tap" }, {}, /no plugin .* serves kind vbd3/],
        [{ "config/format": "toString" }, {}, /config\/format is "toString"; expected raw/],
        [{ "config/format": "__proto__" }, {}, /config\/format is "__proto__"; expected raw/],
        [{ "config/backendtype": "constructor" }, {}, /backendtype is "constructor"; expected phy/],
        [{}, { target: undefined }, /there is no "\/image" in this driver domain/],
        [{}, { target: "other" }, /neither a block device nor a file/],
      ] as const
    ) expect(() => served(more, where)).toThrow(why);
  });
});

test("a report is taken as text: nothing of it reaches a terminal, or is followed", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...DRIVER_NODES), fc.string({ unit: "binary" })),
      (nodes) => {
        const { state, device, error, pdev } = parseReport(nodes, ID);
        expect(["odd", ...Object.keys(REQUEST_STATES)]).toContain(state as string);
        expect(device === undefined || device.devid === ID.devid).toBeTrue();
        for (const text of [error, pdev]) {
          // deno-lint-ignore no-control-regex
          expect(text ?? "").not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
          expect((text ?? "").length).toBeLessThan(ERROR_MAX * 10);
        }
      },
    ),
  );
  expect(parseReport({ state: "constructor" }, ID).state).toBe("odd");
  expect(parseReport(null, ID).state).toBeNull();
});
