/** Transactions: isolation, and every kind of conflict. */
import { describe, expect, test } from "bun:test";
import { Op } from "../../core/xenstore/operations.ts";
import type { RawConnection } from "./raw_connection.ts";
import type { Bench } from "./bench.ts";

/** What one side does inside its transaction before the other acts, and what comes of it. */
interface Conflict {
  readonly name: string;
  /** Exists before: paths below the directory. */
  readonly before?: readonly string[];
  readonly inside: (c: RawConnection, d: string, tx: number) => Promise<unknown>;
  readonly outside: (c: RawConnection, d: string) => Promise<unknown>;
  readonly commit: "OK" | "!EAGAIN";
}

const write = (path: string) => (c: RawConnection, d: string, tx = 0) =>
  c.ask(Op.WRITE, `${d}/${path}\0new`, tx);
const read = (path: string) => (c: RawConnection, d: string, tx = 0) =>
  c.ask(Op.READ, `${d}/${path}\0`, tx);
const remove = (path: string) => (c: RawConnection, d: string, tx = 0) =>
  c.ask(Op.RM, `${d}/${path}\0`, tx);
const list = (path: string) => (c: RawConnection, d: string, tx = 0) =>
  c.ask(Op.DIRECTORY, `${d}${path}\0`, tx);

const conflicts: readonly Conflict[] = [
  { name: "nothing looked at", inside: async () => {}, outside: write("a"), commit: "OK" },
  {
    name: "read, and changed by others",
    before: ["a"],
    inside: read("a"),
    outside: write("a"),
    commit: "!EAGAIN",
  },
  {
    name: "read, and written by others with the same value",
    before: ["a"],
    inside: read("a"),
    outside: (c, d) => c.ask(Op.WRITE, `${d}/a\0old`),
    commit: "!EAGAIN",
  },
  {
    name: "read, and only its sibling changed",
    before: ["a", "b"],
    inside: read("a"),
    outside: write("b"),
    commit: "OK",
  },
  {
    name: "read, and a grandchild created",
    before: ["a/b"],
    inside: read("a"),
    outside: write("a/b/c"),
    commit: "OK",
  },
  {
    name: "read, and a child created",
    before: ["a"],
    inside: read("a"),
    outside: write("a/b"),
    commit: "!EAGAIN",
  },
  {
    name: "read, and its permissions changed",
    before: ["a"],
    inside: read("a"),
    outside: (c, d) => c.ask(Op.SET_PERMS, `${d}/a\0r0\0`),
    commit: "!EAGAIN",
  },
  {
    name: "written blindly, and written by others",
    before: ["a"],
    inside: write("a"),
    outside: write("a"),
    commit: "!EAGAIN",
  },
  {
    name: "probed as missing, and created by others",
    inside: read("a"),
    outside: write("a"),
    commit: "!EAGAIN",
  },
  {
    name: "created by both",
    inside: write("a"),
    outside: write("a"),
    commit: "!EAGAIN",
  },
  {
    name: "different children of one parent",
    inside: write("a"),
    outside: write("b"),
    commit: "!EAGAIN",
  },
  {
    name: "children of different parents",
    before: ["p", "q"],
    inside: write("p/a"),
    outside: write("q/b"),
    commit: "OK",
  },
  {
    name: "listed, and a child created",
    inside: list(""),
    outside: write("a"),
    commit: "!EAGAIN",
  },
  {
    name: "listed, and a child changed",
    before: ["a"],
    inside: list(""),
    outside: write("a"),
    commit: "OK",
  },
  {
    name: "written, and removed by others",
    before: ["a"],
    inside: write("a"),
    outside: remove("a"),
    commit: "!EAGAIN",
  },
  {
    name: "removed, and written by others",
    before: ["a"],
    inside: remove("a"),
    outside: write("a"),
    commit: "!EAGAIN",
  },
  {
    name: "removed with all below, and something below written by others",
    before: ["a/b"],
    inside: remove("a"),
    outside: write("a/b"),
    commit: "!EAGAIN",
  },
  {
    name: "read, removed by others and created anew",
    before: ["a"],
    inside: read("a"),
    outside: async (c, d) => {
      await remove("a")(c, d);
      await c.ask(Op.WRITE, `${d}/a\0old`);
    },
    commit: "!EAGAIN",
  },
];

export function transactions(bench: Bench): void {
  describe("transactions", () => {
    test("ids are numbers above 0, and answers end in a NUL", async () => {
      const c = await bench.open();
      const { payload } = await c.exchange(Op.TRANSACTION_START, "\0");
      expect(new TextDecoder().decode(payload)).toMatch(/^[1-9]\d*\0$/);
    });

    test("reads see own writes; others see them after the commit", async () => {
      const [c, other, d] = [await bench.open(), await bench.open(), await bench.directory()];
      const tx = await c.begin();
      await c.ask(Op.WRITE, `${d}/a/b\0v`, tx);
      expect(await c.ask(Op.READ, `${d}/a/b\0`, tx)).toBe("v");
      expect(await c.ask(Op.DIRECTORY, `${d}\0`, tx)).toBe("a");
      expect(await c.ask(Op.READ, `${d}/a/b\0`)).toBe("!ENOENT");
      expect(await other.ask(Op.READ, `${d}/a/b\0`)).toBe("!ENOENT");
      expect(await c.commit(tx)).toBe("OK");
      expect(await other.ask(Op.READ, `${d}/a/b\0`)).toBe("v");
    });

    test("an aborted transaction leaves nothing", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const tx = await c.begin();
      await c.ask(Op.WRITE, `${d}/a\0v`, tx);
      expect(await c.ask(Op.TRANSACTION_END, "F\0", tx)).toBe("OK");
      expect(await c.ask(Op.READ, `${d}/a\0`)).toBe("!ENOENT");
    });

    test("removal inside a transaction", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/a/b\0v`);
      const tx = await c.begin();
      expect(await c.ask(Op.RM, `${d}/a\0`, tx)).toBe("OK");
      expect(await c.ask(Op.READ, `${d}/a/b\0`, tx)).toBe("!ENOENT");
      expect(await c.ask(Op.READ, `${d}/a/b\0`)).toBe("v");
      await c.ask(Op.WRITE, `${d}/a\0again`, tx);
      expect(await c.commit(tx)).toBe("OK");
      expect(await c.ask(Op.READ, `${d}/a\0`)).toBe("again");
      expect(await c.ask(Op.DIRECTORY, `${d}/a\0`)).toBe("");
    });

    for (const conflict of conflicts) {
      test(`conflict: ${conflict.name}`, async () => {
        const [c, other, d] = [await bench.open(), await bench.open(), await bench.directory()];
        for (const path of conflict.before ?? []) await c.ask(Op.WRITE, `${d}/${path}\0old`);
        const tx = await c.begin();
        await conflict.inside(c, d, tx);
        await conflict.outside(other, d);
        expect(await c.commit(tx)).toBe(conflict.commit);
        // Whatever came of it, the id is gone.
        expect(await c.ask(Op.READ, "/tool\0", tx)).toBe("!ENOENT");
      });
    }

    test("two transactions that touch the same: the first to commit wins", async () => {
      const [c, other, d] = [await bench.open(), await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/a\0`);
      const [mine, theirs] = [await c.begin(), await other.begin()];
      await c.ask(Op.WRITE, `${d}/a\0mine`, mine);
      await other.ask(Op.WRITE, `${d}/a\0theirs`, theirs);
      expect(await other.commit(theirs)).toBe("OK");
      expect(await c.commit(mine)).toBe("!EAGAIN");
      expect(await c.ask(Op.READ, `${d}/a\0`)).toBe("theirs");
    });

    test("an own write outside conflicts as well", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/a\0`);
      const tx = await c.begin();
      await c.ask(Op.READ, `${d}/a\0`, tx);
      await c.ask(Op.WRITE, `${d}/a\0x`);
      expect(await c.commit(tx)).toBe("!EAGAIN");
    });

    test("a refusal inside does not end it", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const tx = await c.begin();
      expect(await c.ask(Op.READ, `${d}/absent\0`, tx)).toBe("!ENOENT");
      await c.ask(Op.WRITE, `${d}/a\0v`, tx);
      expect(await c.commit(tx)).toBe("OK");
    });

    test("several at once on one connection", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/p\0`);
      await c.ask(Op.WRITE, `${d}/q\0`);
      const [one, two] = [await c.begin(), await c.begin()];
      expect(one).not.toBe(two);
      await c.ask(Op.WRITE, `${d}/p\0one`, one);
      await c.ask(Op.WRITE, `${d}/q\0two`, two);
      expect(await c.commit(two)).toBe("OK");
      expect(await c.commit(one)).toBe("OK");
    });

    test("bad ids and arguments", async () => {
      const c = await bench.open();
      expect(await c.ask(Op.READ, "/tool\0", 4711)).toBe("!ENOENT");
      expect(await c.ask(Op.TRANSACTION_END, "T\0", 4711)).toBe("!ENOENT");
      expect(await c.ask(Op.TRANSACTION_END, "T\0")).toBe("!ENOENT");
      const tx = await c.begin();
      expect(await c.ask(Op.TRANSACTION_START, "\0", tx)).toBe("!EBUSY");
      expect(await c.ask(Op.TRANSACTION_END, "X\0", tx)).toBe("!EINVAL");
      expect(await c.ask(Op.TRANSACTION_END, "T", tx)).toBe("!EINVAL");
      expect(await c.commit(tx)).toBe("OK");
    });

    test("an id of another connection's is unknown", async () => {
      const [c, other] = [await bench.open(), await bench.open()];
      let tx = 0;
      // Ids are small numbers on each connection: take one that the other cannot have.
      for (let at = 0; at < 5; at++) tx = await c.begin();
      expect(await other.ask(Op.READ, "/tool\0", tx)).toBe("!ENOENT");
    });

    test("events come at the commit, before its acknowledgement, none after an abort", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WATCH, `${d}\0t\0`);
      await c.events();
      const aborted = await c.begin();
      await c.ask(Op.WRITE, `${d}/never\0v`, aborted);
      await c.ask(Op.TRANSACTION_END, "F\0", aborted);
      expect(await c.events()).toEqual([]);
      const tx = await c.begin();
      await c.ask(Op.WRITE, `${d}/a\0v`, tx);
      await c.ask(Op.WRITE, `${d}/b\0v`, tx);
      c.order.length = 0;
      await c.commit(tx);
      expect(c.order).toEqual([`event ${d}/a t`, `event ${d}/b t`, "TRANSACTION_END OK"]);
    });

    test("RESET_WATCHES drops transactions too", async () => {
      const c = await bench.open();
      const tx = await c.begin();
      expect(await c.ask(Op.RESET_WATCHES, "\0")).toBe("OK");
      expect(await c.ask(Op.READ, "/tool\0", tx)).toBe("!ENOENT");
    });

    test("a lost connection aborts", async () => {
      const [c, other, d] = [await bench.open(), await bench.open(), await bench.directory()];
      const tx = await c.begin();
      await c.ask(Op.WRITE, `${d}/a\0v`, tx);
      c.close();
      expect(await other.ask(Op.READ, `${d}/a\0`)).toBe("!ENOENT");
    });
  });
}
