/** Directories that are kept: what somebody else has put there is never taken for ours. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { idsOf, keptOf, KeptStore } from "../../platform/io/kept_directories.ts";

let directory: string;
let base: string;
let store: KeptStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-kept-"));
  base = join(directory, "lib/kept");
  store = new KeptStore(base);
});
afterEach(() => rmSync(directory, { recursive: true }));

const at = (file: string) => join(base, "one", file);
const code = (work: () => unknown) => {
  try {
    work();
    return "done";
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

test("made whole, or not at all", () => {
  expect(store.list()).toEqual([]);
  store.create("one", { a: "text", b: Uint8Array.of(0, 255) });
  expect(store.list()).toEqual(["one"]);
  expect(statSync(join(base, "one")).mode & 0o777).toBe(0o700);
  expect(statSync(base).mode & 0o777).toBe(0o711);
  expect(statSync(at("a")).mode & 0o777).toBe(0o600);
  expect(store.read("one", "a")).toBe("text");
  expect(store.readBytes("one", "b", 10)).toEqual(Uint8Array.of(0, 255));
  expect(code(() => store.create("one", {}))).toBe("EEXIST");
  expect(code(() => store.create("two", { "../x": "" }))).toBe("EINVAL");
  expect(store.list()).toEqual(["one"]);
  expect(code(() => store.readBytes("one", "a", 3))).toBe("EFBIG");
});

test.each(["", ".", "..", "../one", "a/b", "-a", "a\0", "x".repeat(65)])("no name: %p", (name) => {
  store.create("one", {});
  for (
    const work of [() => store.path(name), () => store.create(name, {}), () => store.use(name)]
  ) {
    expect(code(work)).toBe("EINVAL");
  }
  if (name === "-a") return;
  for (
    const work of [
      () => store.read("one", name),
      () => store.tail("one", name),
      () => store.write("one", name, ""),
      () => store.remove("one", name),
    ]
  ) expect(code(work)).toBe("EINVAL");
});

describe("what the directory's user has put there", () => {
  beforeEach(() => store.create("one", {}));

  test("links are not followed, whoever reads", () => {
    writeFileSync(join(directory, "secret"), "secret");
    symlinkSync(join(directory, "secret"), at("a"));
    expect(code(() => store.read("one", "a"))).toBe("EPERM");
    expect(code(() => store.tail("one", "a"))).toBe("ELOOP");
    store.write("one", "a", "mine");
    expect(readFileSync(join(directory, "secret"), "utf8")).toBe("secret");
    expect(lstatSync(at("a")).isFile()).toBe(true);
    linkSync(join(directory, "secret"), at("b"));
    expect(code(() => store.tail("one", "b"))).toBe("EPERM");
    expect(code(() => store.hand("one", "0", ["b"]))).toBe("EPERM");
  });

  test("nothing but a regular file is opened", () => {
    mkdirSync(at("d"));
    expect(code(() => store.read("one", "d"))).toBe("EPERM");
    expect(code(() => store.tail("one", "d"))).toBe("EPERM");
    Bun.spawnSync(["mkfifo", at("p")]);
    expect(code(() => store.tail("one", "p"))).toBe("EPERM");
    expect(code(() => store.hand("one", "0", ["p"]))).toBe("EPERM");
    writeFileSync(at("w"), "text");
    chmodSync(at("w"), 0o666);
    expect(code(() => store.read("one", "w"))).toBe("EPERM");
    expect(store.tail("one", "w")).toBe("text");
  });

  test("of a long log the end", () => {
    writeFileSync(at("log"), "x".repeat(10_000) + "end");
    expect(store.tail("one", "log")).toHaveLength(4096);
    expect(store.tail("one", "log")).toEndWith("xend");
    expect(store.tail("one", "none")).toBeUndefined();
  });

  test("a link in the place of the directory is none", () => {
    mkdirSync(join(directory, "elsewhere"));
    symlinkSync(join(directory, "elsewhere"), join(base, "link"));
    expect(code(() => store.path("link"))).toBe("ENOTDIR");
    expect(code(() => store.destroy("link"))).toBe("ENOTDIR");
    expect(existsSync(join(directory, "elsewhere"))).toBe(true);
  });
});

test("a tree in the way of a file that is written is not walked", () => {
  store.create("one", {});
  mkdirSync(at("file.xdevd-new/deep"), { recursive: true });
  writeFileSync(at("file.xdevd-new/deep/kept"), "");
  expect(code(() => store.write("one", "file", "text"))).toBe("EISDIR");
  expect(existsSync(at("file.xdevd-new/deep/kept"))).toBe(true);
});

test("handed to a user, and no file that was not meant", () => {
  if (process.getuid!() !== 0) return;
  store.create("one", { ours: "", theirs: "" });
  store.hand("one", "2147450887", ["theirs", "none"]);
  expect(statSync(join(base, "one"))).toMatchObject({ uid: 2147450887, gid: 2147450887 });
  expect(statSync(at("theirs")).uid).toBe(2147450887);
  expect(statSync(at("ours")).uid).toBe(0);
  expect(store.read("one", "ours")).toBe("");
  expect(code(() => store.read("one", "theirs"))).toBe("EPERM");
  expect(store.tail("one", "theirs")).toBe("");
});

test("users by name, and by number", () => {
  expect(idsOf("root")).toEqual([0, 0]);
  expect(idsOf("1234")).toEqual([1234, 1234]);
  expect(code(() => idsOf("nobody-of-that-name"))).toBe("ENOENT");
  expect(code(() => idsOf("4294967295"))).toBe("ENOENT");
});

test("one device at a time claims it", async () => {
  store.create("one", {});
  expect(store.use("one")).toBeUndefined();
  const [a, b] = [keptOf(store, "vtpm/7/0"), keptOf(store, "vtpm/8/0")];
  expect(await a.claim("one")).toBeUndefined();
  expect(await b.claim("one")).toBe("vtpm/7/0");
  expect(await a.claim("one")).toBeUndefined();
  await b.release("one");
  expect(store.use("one")?.by).toBe("vtpm/7/0");
  expect(await b.claim("one", "vtpm/9/9")).toBe("vtpm/7/0");
  expect(await b.claim("one", "vtpm/7/0")).toBeUndefined();
  await a.release("one");
  await b.release("one");
  expect(store.use("one")?.by).toBeNull();
  store.locked("one", () => expect(code(() => store.claim("one", "vtpm/7/0"))).toBe("EBUSY"));
  expect(await a.claim("one")).toBeUndefined();
  // Damaged, or of another start of the machine: nobody's.
  for (const text of ["", "x", "vtpm/7/0 other-boot 2026-01-01T00:00:00.000Z\n", "a b c\n"]) {
    store.write("one", ".use", text);
    expect(await b.claim("one")).toBeUndefined();
    await b.release("one");
  }
});
