/** Looks at a device: what is read again, and what is not. */
import { beforeEach, describe, expect, test } from "bun:test";
import { Looks } from "../../../core/daemon/device/reader.ts";
import { changedBy } from "../../../core/daemon/device/observe.ts";
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
let looks: Looks;

beforeEach(async () => {
  nodes = new Nodes();
  nodes.values.set(BACKEND, "").set(FRONTEND, "");
  const own = { state: "2", online: "1", frontend: FRONTEND, "frontend-id": "7" };
  for (const [name, value] of Object.entries({ ...own, "xdevd-attach": "mark" })) {
    nodes.values.set(`${BACKEND}/${name}`, value);
  }
  looks = new Looks(nodes as unknown as NodeAccess, ID, "vbd");
  await looks.all("mark");
  nodes.asked = [];
});

describe("a look while a device is being added", () => {
  test("asks for nothing when no event has come", async () => {
    expect((await looks.changes("mark")).reading.state).toBe("2");
    expect(nodes.asked).toEqual([]);
  });

  test("asks for what has changed, and knows the rest", async () => {
    nodes.values.set(`${BACKEND}/state`, "5");
    looks.changed("state");
    const { reading } = await looks.changes("mark");
    expect(nodes.asked).toEqual(["state"]);
    expect([reading.state, reading.online, reading.mark]).toEqual(["5", "1", "mark"]);
  });

  test("leaves what does not decide whether it goes on to the next whole look", async () => {
    for (const part of ["frontend", "frontend-id", "hotplug-status"] as const) looks.changed(part);
    await looks.changes("mark");
    expect(nodes.asked).toEqual([]);
  });

  test("sees that the guest's directory is gone", async () => {
    nodes.values.delete(FRONTEND);
    looks.changed("guest");
    expect((await looks.changes("mark")).reading.guest).toBeUndefined();
    expect(nodes.asked).toEqual(["guest"]);
    expect(looks.sawGuest).toBeFalse();
  });

  test("asks for everything when the directory was deleted or made", async () => {
    looks.changed("all");
    await looks.changes("mark");
    expect(nodes.asked).toEqual(WHOLE);
  });

  test("asks for everything when the last look was at a directory with another mark", async () => {
    await looks.changes("another");
    expect(nodes.asked).toEqual([...WHOLE, "directory"]);
  });

  test("asks once more for what changes while it is asked for", async () => {
    looks.changed("state");
    nodes.onRead = () => {
      looks.changed("state");
      nodes.onRead = () => {};
    };
    await looks.changes("mark");
    await looks.changes("mark");
    await looks.changes("mark");
    expect(nodes.asked).toEqual(["state", "state"]);
  });

  test("asks for everything after one that failed", async () => {
    nodes.broken = true;
    looks.changed("state");
    await expect(looks.changes("mark")).rejects.toThrow("EIO");
    nodes.broken = false;
    nodes.asked = [];
    await looks.changes("mark");
    expect(nodes.asked).toEqual(WHOLE);
  });

  test("knows a mark that was written since", async () => {
    looks.marked("new");
    expect((await looks.changes("new")).reading.mark).toBe("new");
    expect(nodes.asked).toEqual([]);
  });
});

describe("a look at a marked directory", () => {
  test("asks for the mark and for the guest when no event has come", async () => {
    expect((await looks.since("mark", ["params"])).reading.state).toBe("2");
    expect(nodes.asked).toEqual(["xdevd-attach", "guest"]);
  });

  test("asks for what has changed, the mark behind it, and for the rest if it is the state", async () => {
    nodes.values.set(`${BACKEND}/state`, "4").set(`${BACKEND}/params`, "/disk");
    looks.changed("state");
    const { reading, nodes: others } = await looks.since("mark", ["params"]);
    expect(nodes.asked).toEqual(["params", "state", "xdevd-attach", "guest"]);
    expect([reading.state, reading.online, others.get("params")]).toEqual(["4", "1", "/disk"]);
  });

  test("asks for everything when the directory was deleted or made", async () => {
    looks.changed("all");
    await looks.since("mark");
    expect(nodes.asked).toEqual(WHOLE);
  });

  test("asks for everything when the mark is another one, or gone", async () => {
    nodes.values.set(`${BACKEND}/xdevd-attach`, "another").set(`${BACKEND}/state`, "1");
    expect((await looks.since("mark")).reading).toMatchObject({ mark: "another", state: "1" });
    expect(nodes.asked).toEqual(["xdevd-attach", "guest", ...WHOLE, "directory"]);
  });

  test("sees that the guest's directory is gone, without an event", async () => {
    nodes.values.delete(FRONTEND);
    expect((await looks.since("mark")).reading.guest).toBeUndefined();
  });

  test("asks for nothing when it was just marked, and no event has come; once", async () => {
    looks = new Looks(nodes as unknown as NodeAccess, ID, "vbd");
    await looks.all(null);
    nodes.asked = [];
    looks.marked("new");
    nodes.values.set(`${BACKEND}/xdevd-attach`, "new");
    expect((await looks.since("new", ["params"])).reading).toMatchObject({ mark: "new" });
    expect(nodes.asked).toEqual([]);
    await looks.since("new");
    expect(nodes.asked).toEqual(["xdevd-attach", "guest"]);
  });

  test("asks for what has changed while it was marked", async () => {
    looks.marked("mark");
    looks.changed("state");
    await looks.since("mark");
    expect(nodes.asked).toEqual(["state", "xdevd-attach", "guest"]);
  });

  test("knows nothing of one that was not marked", async () => {
    await looks.all(null);
    nodes.asked = [];
    await looks.since("mark");
    expect(nodes.asked).toEqual(WHOLE);
  });
});

test("a whole look asks for everything, whatever was told", async () => {
  await looks.all("mark", ["params"]);
  expect(nodes.asked.toSorted()).toEqual([...WHOLE, "params"].toSorted());
});

describe("whether there is a directory", () => {
  const drop = (...names: string[]) =>
    names.forEach((name) => nodes.values.delete(`${BACKEND}/${name}`));

  test("is asked behind the rest when the mark is not there", async () => {
    drop("xdevd-attach");
    expect((await looks.all("mark")).reading).toMatchObject({ directory: "", mark: undefined });
    expect(nodes.asked).toEqual([...WHOLE, "directory"]);
  });

  test("is answered by what was not there any more at the end", async () => {
    nodes.onRead = (path) => {
      if (path.endsWith("/hotplug-status")) nodes.values.clear();
    };
    expect((await looks.all("mark")).reading.directory).toBeUndefined();
  });

  test("needs no asking of one that nobody has marked, if it has a state", async () => {
    const unmarked = WHOLE.filter((name) => name !== "xdevd-attach");
    expect((await looks.all(null)).reading).toMatchObject({ directory: "", mark: undefined });
    expect(nodes.asked).toEqual(unmarked);
    drop("state");
    nodes.asked = [];
    expect((await looks.all(null)).reading.directory).toBe("");
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
