/** Looks at a device: what is read again, and what is not. */
import { beforeEach, describe, expect, test } from "bun:test";
import { changedBy, DeviceReader, isLookedAt } from "../../../core/daemon/device/observer.ts";
import { backendPath, type DeviceId, frontendPath } from "../../../core/xen/device_id.ts";
import { type NodeAccess } from "../../../core/xenstore/access.ts";
import { ServerError } from "../../../core/xenstore/errors.ts";

const ID: DeviceId = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
const BACKEND = backendPath(ID);
const FRONTEND = frontendPath(ID, "vbd");

/** A store that counts what it is asked for. */
class Nodes {
  readonly values = new Map<string, string>();
  asked: string[] = [];
  broken = false;
  /** Called while a node is read. */
  onRead: (path: string) => void = () => {};

  async readVisible(path: string): Promise<string | undefined> {
    this.asked.push(path === FRONTEND ? "guest" : path.slice(BACKEND.length + 1) || "directory");
    this.onRead(path);
    const value = this.values.get(path);
    if (this.broken) throw new ServerError("EIO", "READ");
    return value;
  }
}

/** What a whole look at a marked directory asks for. */
const WHOLE = [
  ...["state", "online", "frontend-id", "frontend", "hotplug-status", "xdevd-attach", "guest"],
];

let nodes: Nodes;
let reader: DeviceReader;

beforeEach(async () => {
  nodes = new Nodes();
  nodes.values.set(BACKEND, "").set(FRONTEND, "");
  const own = { state: "2", online: "1", frontend: FRONTEND, "frontend-id": "7" };
  for (const [name, value] of Object.entries({ ...own, "xdevd-attach": "mark" })) {
    nodes.values.set(`${BACKEND}/${name}`, value);
  }
  reader = new DeviceReader(nodes as unknown as NodeAccess, ID, "vbd");
  await reader.all("mark");
  nodes.asked = [];
});

test("a part and a node that cannot be read are one failure, and no other is left behind", async () => {
  nodes.broken = true;
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on("unhandledRejection", note);
  try {
    await expect(reader.all("mark", ["params", "mode"])).rejects.toThrow("EIO");
    await expect(reader.since("mark", ["params"])).rejects.toThrow("EIO");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(unhandled).toEqual([]);
  } finally {
    process.off("unhandledRejection", note);
  }
  // Everything is read anew then.
  nodes.broken = false;
  nodes.asked = [];
  await reader.since("mark");
  expect([...nodes.asked].sort()).toEqual([...WHOLE].sort());
});

describe("a look while a device is being added", () => {
  test("asks for nothing when no event has come", async () => {
    expect((await reader.changes("mark")).reading.state).toBe("2");
    expect(nodes.asked).toEqual([]);
  });

  test("asks for what has changed, and knows the rest", async () => {
    nodes.values.set(`${BACKEND}/state`, "5");
    reader.changed("state");
    const { reading } = await reader.changes("mark");
    expect(nodes.asked).toEqual(["state"]);
    expect([reading.state, reading.online, reading["attach-id"]]).toEqual(["5", "1", "mark"]);
  });

  test("leaves what does not decide whether it goes on to the next whole look", async () => {
    for (const part of ["frontend", "frontend-id", "hotplug-status"] as const) reader.changed(part);
    await reader.changes("mark");
    expect(nodes.asked).toEqual([]);
  });

  test("sees that the guest's directory is gone", async () => {
    nodes.values.delete(FRONTEND);
    reader.changed("guest");
    expect((await reader.changes("mark")).reading.guest).toBeUndefined();
    expect(nodes.asked).toEqual(["guest"]);
    expect(reader.sawGuest).toBeFalse();
  });

  test("asks for everything when the directory was deleted or made", async () => {
    reader.changed("all");
    await reader.changes("mark");
    expect(nodes.asked).toEqual(WHOLE);
  });

  test("asks for everything when the last look was at a directory with another mark", async () => {
    await reader.changes("another");
    expect(nodes.asked).toEqual([...WHOLE, "directory"]);
  });

  test("asks once more for what changes while it is asked for", async () => {
    reader.changed("state");
    nodes.onRead = () => {
      reader.changed("state");
      nodes.onRead = () => {};
    };
    await reader.changes("mark");
    await reader.changes("mark");
    await reader.changes("mark");
    expect(nodes.asked).toEqual(["state", "state"]);
  });

  test("asks for everything after one that failed", async () => {
    nodes.broken = true;
    reader.changed("state");
    await expect(reader.changes("mark")).rejects.toThrow("EIO");
    nodes.broken = false;
    nodes.asked = [];
    await reader.changes("mark");
    expect(nodes.asked).toEqual(WHOLE);
  });

  test("knows a mark that was written since", async () => {
    reader.marked("new");
    expect((await reader.changes("new")).reading["attach-id"]).toBe("new");
    expect(nodes.asked).toEqual([]);
  });
});

describe("a look at a marked directory", () => {
  test("asks for the mark and for the guest when no event has come", async () => {
    expect((await reader.since("mark", ["params"])).reading.state).toBe("2");
    expect(nodes.asked).toEqual(["xdevd-attach", "guest"]);
  });

  test("asks for what has changed, the mark behind it, and for the rest if it is the state", async () => {
    nodes.values.set(`${BACKEND}/state`, "4").set(`${BACKEND}/params`, "/disk");
    reader.changed("state");
    const { reading, nodes: others } = await reader.since("mark", ["params"]);
    expect(nodes.asked).toEqual(["params", "state", "xdevd-attach", "guest"]);
    expect([reading.state, reading.online, others.get("params")]).toEqual(["4", "1", "/disk"]);
  });

  test("asks for everything when the directory was deleted or made", async () => {
    reader.changed("all");
    await reader.since("mark");
    expect(nodes.asked).toEqual(WHOLE);
  });

  test("asks for everything when the mark is another one, or gone", async () => {
    nodes.values.set(`${BACKEND}/xdevd-attach`, "another").set(`${BACKEND}/state`, "1");
    expect((await reader.since("mark")).reading).toMatchObject({
      "attach-id": "another",
      state: "1",
    });
    expect(nodes.asked).toEqual(["xdevd-attach", "guest", ...WHOLE, "directory"]);
  });

  test("sees that the guest's directory is gone, without an event", async () => {
    nodes.values.delete(FRONTEND);
    expect((await reader.since("mark")).reading.guest).toBeUndefined();
  });

  test("asks for nothing when it was just marked, and no event has come; once", async () => {
    reader = new DeviceReader(nodes as unknown as NodeAccess, ID, "vbd");
    await reader.all(null);
    nodes.asked = [];
    reader.marked("new");
    nodes.values.set(`${BACKEND}/xdevd-attach`, "new");
    expect((await reader.since("new", ["params"])).reading).toMatchObject({ "attach-id": "new" });
    expect(nodes.asked).toEqual([]);
    await reader.since("new");
    expect(nodes.asked).toEqual(["xdevd-attach", "guest"]);
  });

  test("asks for what has changed while it was marked", async () => {
    reader.marked("mark");
    reader.changed("state");
    await reader.since("mark");
    expect(nodes.asked).toEqual(["state", "xdevd-attach", "guest"]);
  });

  test("knows nothing of one that was not marked", async () => {
    await reader.all(null);
    nodes.asked = [];
    await reader.since("mark");
    expect(nodes.asked).toEqual(WHOLE);
  });
});

test("a whole look asks for everything, whatever was told", async () => {
  await reader.all("mark", ["params"]);
  expect(nodes.asked.toSorted()).toEqual([...WHOLE, "params"].toSorted());
});

describe("whether there is a directory", () => {
  const drop = (...names: string[]) =>
    names.forEach((name) => nodes.values.delete(`${BACKEND}/${name}`));

  test("is asked behind the rest when the mark is not there", async () => {
    drop("xdevd-attach");
    expect((await reader.all("mark")).reading).toMatchObject({
      directory: "",
      "attach-id": undefined,
    });
    expect(nodes.asked).toEqual([...WHOLE, "directory"]);
  });

  test("is answered by what was not there any more at the end", async () => {
    nodes.onRead = (path) => {
      if (path.endsWith("/hotplug-status")) nodes.values.clear();
    };
    expect((await reader.all("mark")).reading.directory).toBeUndefined();
  });

  test("needs no asking of one that nobody has marked, if it has a state", async () => {
    const unmarked = WHOLE.filter((name) => name !== "xdevd-attach");
    expect((await reader.all(null)).reading).toMatchObject({
      directory: "",
      "attach-id": undefined,
    });
    expect(nodes.asked).toEqual(unmarked);
    drop("state");
    nodes.asked = [];
    expect((await reader.all(null)).reading.directory).toBe("");
    expect(nodes.asked).toEqual([...unmarked, "directory"]);
  });
});

test.each([
  [BACKEND, "all"],
  ["/local/domain/1/backend/vbd/7", "all"],
  [`${BACKEND}/state`, "state"],
  [`${BACKEND}/frontend`, "frontend"],
  [`${BACKEND}/frontend-id`, "frontend-id"],
  [`${BACKEND}/state/deeper`, null],
  [`${BACKEND}/xdevd-attach`, null],
  [`${BACKEND}/feature-barrier`, null],
])("an event for %s says that this may have changed: %p", (path, part) => {
  expect(changedBy(path, BACKEND)).toBe(part as ReturnType<typeof changedBy>);
});

test("of a device's nodes, those that decide something are looked at, and no others", () => {
  for (const name of ["state", "online", "hotplug-status"]) expect(isLookedAt(name)).toBeTrue();
  for (const name of ["feature-barrier", "hotplug-error", "sectors", "", "constructor"]) {
    expect(isLookedAt(name)).toBeFalse();
  }
});
