/** `xdevd vtpm`: what it keeps, and what it refuses. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeptStore } from "../../../platform/io/kept_directories.ts";
import { faultsOf } from "../../support/json_schema.ts";
import { runProgram } from "../../support/daemon_process.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
const OTHER = "11111111-89ab-cdef-0123-456789abcdef";

let directory: string;
let stateDir: string;
let base: string;
let key: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-vtpm-"));
  stateDir = join(directory, "state");
  base = join(stateDir, "vtpm");
  key = join(directory, "key");
  writeFileSync(key, "0123456789abcdef".repeat(4) + "\n", { mode: 0o600 });
});
afterAll(() => rmSync(directory, { recursive: true }));

const vtpm = (...args: string[]) => runProgram(["vtpm", ...args, "--state-dir", stateDir]);

async function works(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await vtpm(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

async function refuses(code: number, message: RegExp, ...args: string[]): Promise<void> {
  const result = await vtpm(...args);
  expect(result.stderr).toMatch(message);
  expect(result.stderr.trim().split("\n")).toHaveLength(1);
  expect(result).toMatchObject({ code, stdout: "" });
}

test("one is made, shown, exported, deleted and imported again", async () => {
  expect(await works("list")).toBe("UUID  TPM  ENCRYPTED  LAST USE  USED BY\n");
  const made = (await works("create")).trim();
  expect(await works("create", UUID.toUpperCase(), "--version", "1.2")).toBe(`${UUID}\n`);
  expect(statSync(join(base, UUID)).mode & 0o7777).toBe(0o700);
  expect(readFileSync(join(base, UUID, "version"), "utf8")).toBe("1.2\n");
  await refuses(9, /there is a vTPM 01234567.* already \[vtpm-exists\]/, "create", UUID);
  const state = Uint8Array.from({ length: 5000 }, (_, at) => at * 7);
  writeFileSync(join(base, UUID, "tpm-00.permall"), state);
  // Of one run: not kept.
  writeFileSync(join(base, UUID, "tpm-00.volatilestate"), "old");
  const before = JSON.parse(await works("show", UUID, "--json"));
  expect(faultsOf(before, "vtpm")).toEqual([]);
  expect(before).toMatchObject({
    version: "1.2",
    encrypted: false,
    lastUse: null,
    usedBy: null,
    stateBytes: 5000,
    problem: null,
  });
  const listed = JSON.parse(await works("list", "--json"));
  expect(faultsOf(listed, "vtpm-list")).toEqual([]);
  expect(listed.map(({ uuid }: { uuid: string }) => uuid).sort()).toEqual([UUID, made].sort());
  const file = join(directory, "whole");
  await works("export", UUID, file);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await refuses(1, /whole exists already: it is not replaced/, "export", UUID, file);
  await refuses(9, /already/, "import", file);
  await refuses(2, /would be lost for ever.*--yes/, "delete", UUID);
  await works("delete", UUID, "--yes");
  expect(existsSync(join(base, UUID))).toBe(false);
  await refuses(10, /there is no vTPM 01234567/, "show", UUID);
  expect(await works("import", file)).toBe(`${UUID}\n`);
  expect(JSON.parse(await works("show", UUID, "--json"))).toEqual(before);
  expect(readFileSync(join(base, UUID, "tpm-00.permall"))).toEqual(Buffer.from(state));
  expect(readdirSync(join(base, UUID)).sort()).toEqual(["created", "tpm-00.permall", "version"]);
  expect(readdirSync(base).sort()).toEqual([UUID, made].sort());
  await works("delete", UUID, "--yes");
});

test("an encrypted one needs its key, wherever it is", async () => {
  const short = join(directory, "short");
  writeFileSync(short, "0123\n");
  await refuses(
    2,
    /key file .*short does not have 64 hexadecimal digits/,
    "create",
    "--key-file",
    short,
  );
  await refuses(2, /key file \/nowhere cannot be read: ENOENT/, "create", "--key-file", "/nowhere");
  await refuses(2, /key file \/dev\/zero cannot be read/, "create", "--key-file", "/dev/zero");
  const open = join(directory, "open");
  writeFileSync(open, readFileSync(key));
  for (const mode of [0o644, 0o602]) {
    chmodSync(open, mode);
    await refuses(2, /key file .*open .*anybody.*chmod o-rw/, "create", "--key-file", open);
  }
  // swtpm takes it for the next of its options.
  const comma = `${key},format=binary`;
  writeFileSync(comma, readFileSync(key), { mode: 0o600 });
  await refuses(2, /key file .* has a comma/, "create", "--key-file", comma);
  const lines = `${key}\n`;
  writeFileSync(lines, readFileSync(key), { mode: 0o600 });
  await refuses(2, /key file .* has a .*control character/, "create", "--key-file", lines);
  expect(await works("list")).not.toContain("yes");
  await works("create", UUID, "--key-file", key);
  expect(await works("show", UUID)).toContain(`encrypted  yes, with ${key}`);
  const file = join(directory, "encrypted");
  await works("export", UUID, file);
  expect(readFileSync(file, "latin1")).not.toContain(key);
  await works("delete", UUID, "--yes");
  await refuses(2, /is encrypted: name its key with --key-file/, "import", file);
  await works("import", file, "--key-file", key);
  await works("delete", UUID, "--yes");
  await works("create", OTHER);
  const plain = join(directory, "plain");
  await works("export", OTHER, plain);
  await works("delete", OTHER, "--yes");
  await refuses(2, /is not encrypted/, "import", plain, "--key-file", key);
});

describe("what is in use, or damaged", () => {
  test("one that a device has is neither exported nor deleted", async () => {
    await works("create", UUID);
    const store = new KeptStore(base);
    expect(store.claim(UUID, "vtpm/7/0")).toBeUndefined();
    expect(await works("list")).toMatch(/ 20\d\d-\S+Z {2}vtpm\/7\/0\n/);
    const file = join(directory, "used");
    await refuses(1, /is used by vtpm\/7\/0, or .* \[vtpm-in-use\]/, "export", UUID, file);
    await refuses(1, /is used by vtpm\/7\/0/, "delete", UUID, "--yes");
    expect(existsSync(file)).toBe(false);
    store.release(UUID, "vtpm/7/0");
    // While a command works on it no device gets it, and no other command.
    store.locked(UUID, () => {
      expect(() => store.claim(UUID, "vtpm/7/0")).toThrow("a command works on");
    });
    expect(JSON.parse(await works("show", UUID, "--json"))).toMatchObject({ usedBy: null });
    await works("export", UUID, file);
    await works("delete", UUID, "--yes");
  });

  test("what cannot be told is told, and kept from an export", async () => {
    await works("create", UUID);
    const at = (name: string) => join(base, UUID, name);
    writeFileSync(at("version"), "3.0\n\u001b[2J");
    expect(await works("list")).toContain('its file version says "3.0\\n\\u001b[2J"');
    await refuses(1, /is damaged: its file version/, "export", UUID, join(directory, "damaged"));
    rmSync(at("version"));
    symlinkSync("/etc/hostname", at("version"));
    expect(await works("show", UUID)).toMatch(/problem .*symbolic link/);
    rmSync(at("version"));
    linkSync(key, at("version"));
    writeFileSync(at("tpm2-00.permall"), new Uint8Array(2 * 1024 * 1024));
    expect(await works("show", UUID)).toMatch(/problem /);
    await works("delete", UUID, "--yes");
  });

  test("what is exported can be imported, though it is not known when it was made", async () => {
    for (const created of [undefined, "yesterday", "2026-13-45T99:99:99Z"]) {
      await works("create", UUID);
      rmSync(join(base, UUID, "created"));
      if (created !== undefined) {
        writeFileSync(join(base, UUID, "created"), created, { mode: 0o600 });
      }
      const file = join(directory, `timeless-${created}`);
      await works("export", UUID, file);
      await works("delete", UUID, "--yes");
      expect(await works("import", file)).toBe(`${UUID}\n`);
      expect(await works("show", UUID)).toMatch(/created +\?/);
      await works("delete", UUID, "--yes");
    }
  });

  test("a claim ends when the machine was started anew", async () => {
    await works("create", UUID);
    writeFileSync(join(base, UUID, ".use"), "vtpm/7/0 another-boot 2026-01-02T03:04:05.006Z\n", {
      mode: 0o600,
    });
    expect(JSON.parse(await works("show", UUID, "--json"))).toMatchObject({
      usedBy: null,
      lastUse: "2026-01-02T03:04:05.006Z",
    });
    await works("delete", UUID, "--yes");
  });
});

describe("a file that is to be imported", () => {
  const sum = (text: string) =>
    text + `sha256 ${new Bun.CryptoHasher("sha256").update(text, "latin1").digest("hex")}\n`;
  const about = (files: unknown, more: Record<string, unknown> = {}) => {
    const head = {
      uuid: OTHER,
      version: "2.0",
      encrypted: false,
      created: "2026-01-02T03:04:05.006Z",
    };
    return `xdevd-vtpm 1\n${JSON.stringify({ ...head, ...more, files })}\n`;
  };
  const good = sum(`${about([{ name: "tpm2-00.permall", size: 3 }])}abc`);

  const cases: [string, string, RegExp][] = [
    ["nothing", "", /does not begin as/],
    ["something else", "PK\u0003\u0004".repeat(100), /does not begin as/],
    ["a later version", good.replace("vtpm 1", "vtpm 2"), /does not begin as/],
    ["cut by a byte", good.slice(0, -1), /cut or altered/],
    ["cut short", good.slice(0, 20), /cut or altered/],
    ["altered", good.replace("abc", "abd"), /cut or altered/],
    ["no line", sum(`xdevd-vtpm 1\n${"x".repeat(20_000)}`), /second line is missing/],
    ["no JSON", sum("xdevd-vtpm 1\n{\n"), /no JSON/],
    ["null", sum("xdevd-vtpm 1\nnull\n"), /its uuid is/],
    ["a uuid that leads away", sum(about([], { uuid: "../../etc" })), /its uuid is/],
    ["no known version", sum(about([], { version: "1.3" })), /its version is/],
    ["a time of lines", sum(about([], { created: "2026-01-02T03:04:05Z\n" })), /its created is/],
    [
      "a time that there is not",
      sum(about([], { created: "2026-13-02T03:04:05.006Z" })),
      /its created is/,
    ],
    ["a uuid in a list", sum(about([], { uuid: [OTHER] })), /its uuid is/],
    ["a version that is a number", sum(about([], { version: 1.2 })), /its version is/],
    ["too many files", sum(about(Array(3).fill({ name: "tpm-00.permall", size: 0 }))), /its files/],
    [
      "a name that leads away",
      sum(`${about([{ name: "../x", size: 1 }])}a`),
      /its file is "\\"\.\.\/x/,
    ],
    ["a file of ours", sum(`${about([{ name: ".use", size: 1 }])}a`), /its file is/],
    [
      "one name twice",
      sum(about([0, 0].map(() => ({ name: "tpm-00.permall", size: 0 })))),
      /its files/,
    ],
    ["a negative size", sum(about([{ name: "tpm-00.permall", size: -1 }])), /its size/],
    ["a size beyond", sum(`${about([{ name: "tpm-00.permall", size: 9 }])}a`), /its files have/],
    ["more than its files", sum(`${about([])}trailing`), /its files have/],
  ];
  test.each(cases)("%s", async (_, content, message) => {
    const file = join(directory, "hostile");
    writeFileSync(file, content, "latin1");
    await refuses(1, message, "import", file);
    expect(existsSync(join(base, OTHER))).toBe(false);
    expect(readdirSync(directory).sort()).not.toContain("x");
  });

  test("the good one is taken, and no longer one; a directory, and none, are not", async () => {
    const file = join(directory, "good");
    writeFileSync(file, good, "latin1");
    await works("import", file);
    await works("delete", OTHER, "--yes");
    writeFileSync(file, new Uint8Array(5 * 1024 * 1024));
    await refuses(1, /EFBIG|more than/, "import", file);
    await refuses(1, /expected a regular file/, "import", directory);
    await refuses(1, /ENOENT/, "import", join(directory, "none"));
    mkdirSync(join(base, ".new-left"), { recursive: true });
    expect(await works("list")).not.toContain("left");
  });
});

test.each([
  [["create", "--version", "1.3"], /Allowed choices are 2\.0, 1\.2/],
  [["create", "web"], /Expected a uuid/],
  [["show"], /missing required argument 'uuid'/],
])("%p makes no sense", async (args, message) => {
  const { code, stderr } = await vtpm(...args);
  expect({ code, stderr }).toMatchObject({ code: 2 });
  expect(stderr).toMatch(message);
});

test("the program's own --version is no option of a command that has none", async () => {
  expect(await runProgram(["--version"])).toMatchObject({ code: 0 });
  expect((await runProgram(["vtpm", "list", "--version"])).stdout).toMatch(/^\d+\.\d+/);
});
