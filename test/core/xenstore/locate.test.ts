/** Finding the store, and connecting to it. */
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTransport } from "../../../machine/connect.ts";
import { listenUnix } from "../../../platform/io/listener.ts";
import type { FileStatus } from "../../../platform/types.ts";
import { ConnectionError } from "../../../core/xenstore/errors.ts";
import { locateStore, storeCandidates, storeEnvironment } from "../../../core/xenstore/locate.ts";
import { makeDeadSocket } from "../../support/dead_socket.ts";

/** Files of these kinds, and nothing else. */
function files(kinds: Record<string, FileStatus["kind"]>) {
  return {
    stat: async (path: string) => {
      const kind = kinds[path];
      if (kind === undefined) throw Object.assign(new Error(path), { code: "ENOENT" });
      return { kind } as FileStatus;
    },
  };
}

describe("where the store is", () => {
  test("candidates, as libxenstore has them", () => {
    const devices = ["/dev/xen/xenbus", "/proc/xen/xenbus"];
    expect(storeCandidates({})).toEqual(["/run/xenstored/socket", ...devices]);
    expect(storeCandidates({ XENSTORED_RUNDIR: "/x" })).toEqual(["/x/socket", ...devices]);
    expect(storeCandidates({ XENSTORED_RUNDIR: "/x", XENSTORED_PATH: "/y" })).toEqual(["/y"]);
    expect(storeCandidates({ XENSTORED_PATH: "" })).toEqual([""]);
    expect(storeCandidates({ XENSTORED_PATH: "/y" }, "/z")).toEqual(["/z"]);
  });

  test("the first that is there; the inode says what it is", async () => {
    const all = {
      "/run/xenstored/socket": "socket",
      "/dev/xen/xenbus": "character",
      "/proc/xen/xenbus": "other",
    } as const;
    const found = (kinds: Record<string, FileStatus["kind"]>, environment = {}) =>
      locateStore(files(kinds), environment);
    expect(await found(all)).toEqual({ kind: "socket", path: "/run/xenstored/socket" });
    expect(await found({ "/dev/xen/xenbus": "character" }))
      .toEqual({ kind: "device", path: "/dev/xen/xenbus" });
    expect(await found({ "/proc/xen/xenbus": "other" }))
      .toEqual({ kind: "device", path: "/proc/xen/xenbus" });
    expect(await found({ ...all, "/y": "character" }, { XENSTORED_PATH: "/y" }))
      .toEqual({ kind: "device", path: "/y" });
  });

  test("a place that may not be looked at is not one that does not exist", async () => {
    const stat = () => Promise.reject(Object.assign(new Error("no"), { code: "EACCES" }));
    await expect(locateStore({ stat }, {}, "/y/socket")).rejects.toThrow(
      /cannot look for the store at \/y\/socket: permission denied; are you root\?/,
    );
  });

  test.each(["EMFILE", "EIO", "ELOOP"])("nor is one that cannot be: %s", async (code) => {
    const stat = () => Promise.reject(Object.assign(new Error(`${code}: stat`), { code }));
    await expect(locateStore({ stat }, {})).rejects.toThrow(
      `cannot look for the store at /run/xenstored/socket: ${code}: stat`,
    );
  });

  test("none: every place is named; an explicit one does not fall back", async () => {
    const all = { "/run/xenstored/socket": "socket" } as const;
    const error = await locateStore(files({}), {}).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.message).toMatch(
      /\/run\/xenstored\/socket, \/dev\/xen\/xenbus, \/proc\/xen\/xenbus do not exist/,
    );
    await expect(locateStore(files(all), { XENSTORED_PATH: "/y" })).rejects.toThrow(
      /\/y does not exist/,
    );
    await expect(locateStore(files(all), { XENSTORED_PATH: "" })).rejects.toThrow(
      /does not exist/,
    );
    await expect(locateStore(files({ "/d": "directory" }), {}, "/d")).rejects.toThrow(
      "/d is a directory; expected a socket or a device",
    );
  });

  test("what scripts are told", () => {
    for (const path of ["/run/xenstored/socket", "/dev/xen/xenbus"]) {
      expect(storeEnvironment({ kind: path.startsWith("/run") ? "socket" : "device", path }))
        .toEqual({});
    }
    expect(storeEnvironment({ kind: "socket", path: "/x/y/socket" }))
      .toEqual({ XENSTORED_PATH: "/x/y/socket", XENSTORED_RUNDIR: "/x/y" });
    expect(storeEnvironment({ kind: "device", path: "/proc/xen/xenbus" }))
      .toEqual({ XENSTORED_PATH: "/proc/xen/xenbus" });
  });
});

describe("connecting", () => {
  test("a socket that refuses is tried again for a while, then explained", async () => {
    const directory = await mkdtemp(join(tmpdir(), "xdevd-connect-"));
    const path = join(directory, "socket");
    await makeDeadSocket(path);
    const started = performance.now();
    const connecting = openTransport({ kind: "socket", path });
    const listener = await listenUnix(path, (stream) => stream.close());
    const transport = await connecting;
    expect(transport.name).toBe(path);
    transport.close();
    await listener.close();
    expect(performance.now() - started).toBeLessThan(900);
    await makeDeadSocket(path);
    await expect(openTransport({ kind: "socket", path })).rejects.toThrow(
      /nobody listens on this socket; is xenstored running\?$/,
    );
    await expect(openTransport({ kind: "socket", path: `${path}-none` })).rejects.toThrow(
      /it does not exist$/,
    );
    await expect(openTransport({ kind: "device", path: `${path}-none` })).rejects.toThrow(
      /it does not exist$/,
    );
    await rm(directory, { recursive: true });
  });
});
