/** The program as a user meets it: what it prints, and how it exits. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { makeDeadSocket } from "../support/dead_socket.ts";
import { programCommand, runProgram, until } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

let directory: string;
let store: EmbeddedStore;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "xdevd-cli-"));
  store = await startEmbeddedStore([1, 2]);
  const dom0 = await connectTo(store.socketPath(0));
  await makeDomain(dom0, 1);
  await dom0.write("/local/domain/0/domid", "0");
  dom0.close();
});

afterAll(async () => {
  await store.stop();
  await rm(directory, { recursive: true });
});

describe("what cannot be printed", () => {
  test.each([["status", "--json"], ["status"], ["list", "--json"], ["list"]])(
    "a full disk, and nobody who reads, change neither the line nor the kind of status: %s %s",
    async (...words) => {
      const args = [...words, "--store", store.socketPath(0)];
      if (words[0] === "status") args.push("--run-dir", directory);
      const quoted = [...programCommand(), ...args].map((word) => `'${word}'`).join(" ");
      const run = (redirected: string) =>
        runProgram([`${quoted} ${redirected}`], {}, 30_000, ["sh", "-c"]);
      const full = await run(">/dev/full");
      expect(full).toMatchObject({ code: 1, stdout: "" });
      expect(full.stderr).toMatch(
        /^xdevd: ENOSPC: no space left on device, write to standard output\n$/,
      );
      expect(await run(">/dev/full 2>&1")).toEqual({ code: 1, stdout: "", stderr: "" });
    },
  );
});

describe("usage", () => {
  test("--version and --help succeed", async () => {
    expect(await runProgram(["--version"])).toMatchObject({
      code: 0,
      stdout: `${manifest.version}\n`,
    });
    const all = (await runProgram(["--help"])).stdout;
    expect(all).toMatch(/In a driver domain:\n {2}devd /);
    expect(all).toContain("--version --json");
    const help = await runProgram(["devd", "--help"]);
    expect(help.code).toBe(0);
    for (const option of ["--foreground", "--pidfile", "--store", "--scripts"]) {
      expect(help.stdout).toContain(option);
    }
  });

  test.each([
    [["frobnicate"], /^xdevd: unknown command 'frobnicate'/],
    [["devd", "--frob"], /^xdevd: unknown option '--frob'/],
    [["help", "statsu"], /^xdevd: unknown command 'statsu'\n\(Did you mean status\?\)/],
    [["status", "--run-dir", ""], /'--run-dir <dir>' argument '' is invalid. Expected a path\./],
    [["metrics", "--textfile="], /'--textfile <file>' argument '' is invalid. Expected a path\./],
    [["list", "--store", ""], /'--store <path>' argument '' is invalid. Expected a path\./],
    [["doctor", "--root", "/no/such"], /^xdevd: --root \/no\/such: there is none that can be/],
    [["doctor", "--root", "/dev/null"], /^xdevd: --root \/dev\/null: it is no directory; expected/],
    [["devd", "--script-timeout", "soon"], /'soon' is invalid. Expected seconds/],
    [["devd", "--script-timeout", "0"], /Expected seconds, more than 0/],
    [
      ["devd", "--time", "patience=1"],
      /'patience=1' is invalid. Expected NAME=SECONDS, NAME one of/,
    ],
    [["devd", "--time", "hold=99"], /Expected hold in seconds, 0 to 10\./],
    [["devd", "--time", "hold"], /Expected NAME=SECONDS/],
    [["devd", "--log-level", "loud"], /Allowed choices are debug, info, warning, error/],
    [["xenstored", "--domain", "0"], /Expected a domid, 1 to 32751/],
    [["xenstored", "--domain", "32752"], /Expected a domid, 1 to 32751/],
    [["install", "--root", "/none"], /^xdevd: (--root \/none: ENOENT|this runs from source)/],
    [["install", "--root", "/proc", "--binary", "/none"], /^xdevd: --binary \/none: ENOENT/],
    [
      ["give-up", "foo/bar"],
      /'foo\/bar' is invalid.*Expected KIND\/DOMID\/DEVID \(vbd\/7\/51712/,
    ],
    [["give-up", "vbd/7"], /'vbd\/7' is invalid/],
    [["give-up", "vbd/40000/51712"], /'vbd\/40000\/51712' is invalid/],
    [["store", "release", "x"], /'x' is invalid.*Expected a domid/],
    [["store", "watch", "/", "-n", "0"], /Expected a positive number/],
  ])("%j is refused", async (args, message) => {
    const { code, stdout, stderr } = await runProgram(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });
});

describe("reaching the store", () => {
  test.each([
    "devd -F",
    "devd --log LOG",
    "store read domid",
    "list",
    "prepare 1 xvda /image --script block",
  ])("what takes the connection and closes it is no store: %s", async (line) => {
    const path = join(directory, "closes");
    const server = createServer((socket) => void socket.once("data", () => socket.destroy()));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      const args = line.replace("LOG", join(directory, "log")).split(" ");
      const { code, stdout, stderr } = await runProgram([...args, "--store", path]);
      expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
      expect(stderr).toMatch(/^xdevd: \/.*closes: the store went away \[store-unreachable\]$/m);
    } finally {
      server.close();
    }
  });

  test("what is gone refuses nothing", async () => {
    const path = join(directory, "gone");
    const server = createServer((socket) => void socket.once("data", () => socket.destroy()));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const { code, stdout } = await runProgram(["store", "selftest", "--store", path]);
    server.close();
    expect(code).toBe(1);
    expect(stdout).toMatch(/^0 passed, \d+ failed$/m);
  });

  /** One line, and the status for it. */
  async function noStore(path: string, message: RegExp): Promise<void> {
    const { code, stderr } = await runProgram(["devd", "-F", "--store", path]);
    expect(code).toBe(3);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd()).not.toContain("\n");
  }

  test("a path that does not exist", () =>
    noStore(join(directory, "nothing"), /nothing does not exist; is this a Xen domain/));

  test("a directory, and a file", async () => {
    await noStore(directory, /is a directory; expected a socket or a device/);
    await noStore(import.meta.path, /is a file; expected a socket or a device/);
  });

  test("a socket that nobody listens on", async () => {
    const path = join(directory, "dead.sock");
    await makeDeadSocket(path);
    await noStore(path, /nobody listens on this socket; is xenstored running\?/);
  });

  test("the environment names it, as for libxenstore", async () => {
    const env = { XENSTORED_PATH: join(directory, "elsewhere") };
    const { code, stderr } = await runProgram(["store", "ls"], env);
    expect(code).toBe(3);
    expect(stderr).toContain("elsewhere does not exist");
  });

  test("a server that speaks nonsense", async () => {
    const path = join(directory, "nonsense.sock");
    const server: Server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const { code, stderr } = await runProgram(["devd", "-F", "--store", path]);
    server.close();
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/announces \d+ bytes of payload; at most \d+ are allowed/);
  });
});

describe("xdevd store", () => {
  const at = (...args: string[]) => runProgram([...args, "--store", store.socketPath(0)]);

  test("write, read, list, ls, exists, chmod, rm", async () => {
    expect((await at("store", "write", "/t/a", "1", "/t/b", "two words")).code).toBe(0);
    expect((await at("store", "read", "/t/a", "/t/b")).stdout).toBe("1\ntwo words\n");
    expect((await at("store", "list", "/t")).stdout).toBe("a\nb\n");
    expect((await at("store", "chmod", "/t/b", "n1", "r7")).code).toBe(0);
    expect((await at("store", "ls", "-p", "/t")).stdout)
      .toBe('/t/a = "1" (n0)\n/t/b = "two words" (n1,r7)\n');
    expect((await at("store", "exists", "/t/a")).code).toBe(0);
    expect((await at("store", "exists", "/t/a", "/t/x")).code).toBe(1);
    expect((await at("store", "rm", "/t")).code).toBe(0);
    expect(await at("store", "read", "/t/a"))
      .toMatchObject({ code: 1, stderr: "xdevd: ENOENT: READ /t/a: no such node\n" });
  });

  test("bad arguments are one clear line", async () => {
    expect((await at("store", "read", "/a.b")).stderr)
      .toBe('xdevd: invalid path "/a.b": only A-Z a-z 0-9 - / _ @ are allowed\n');
    expect((await at("store", "write", "/a")).stderr)
      .toBe("xdevd: expected pairs of PATH and VALUE\n");
    expect((await at("store", "chmod", "/tool", "z9")).stderr)
      .toMatch(/invalid permission "z9": expected n, r, w or b and a domid/);
  });

  test("selftest", async () => {
    for (const domid of [0, 1]) {
      const { code, stdout } = await runProgram([
        ...["store", "selftest", "--store", store.socketPath(domid)],
      ]);
      expect(stdout).not.toContain("BAD");
      expect(stdout).toMatch(/12 passed, 0 failed\n$/);
      expect(code).toBe(0);
    }
  });
});

describe("xdevd xenstored", () => {
  test("serves on its sockets until it is told to stop; domains come and go", async () => {
    const dir = join(directory, "store");
    const [file, ...before] = programCommand();
    const child = Bun.spawn([file, ...before, "xenstored", "--dir", dir, "--domain", "3"], {
      stdout: "pipe",
    });
    const socket = join(dir, "socket");
    const at = (...args: string[]) => runProgram(["store", ...args, "--store", socket]);
    await until(() => existsSync(socket), () => "it never listened");
    expect((await at("write", "/a", "1")).code).toBe(0);
    expect(existsSync(join(dir, "domain-3.sock"))).toBeTrue();
    expect((await at("introduce", "9")).code).toBe(0);
    await until(() => existsSync(join(dir, "domain-9.sock")), () => "no socket for domain 9");
    expect((await at("release", "9")).code).toBe(0);
    await until(() => !existsSync(join(dir, "domain-9.sock")), () => "the socket stays");
    expect(await at("release", "9")).toMatchObject({ code: 1 });
    const second = await runProgram(["xenstored", "--dir", dir]);
    expect(second).toMatchObject({
      code: 1,
      stderr: `xdevd: cannot listen in ${dir}: another server listens there\n`,
    });
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stdout).text()).toContain(`XENSTORED_PATH=${socket} leads`);
    expect(existsSync(socket)).toBeFalse();
  });
});

describe("xdevd devd", () => {
  test("refuses domain 0 unless asked", async () => {
    const { code, stderr } = await runProgram(["devd", "-F", "--store", store.socketPath(0)]);
    expect(code).toBe(5);
    expect(stderr).toMatch(
      /^xdevd: this is domain 0, where .*--allow-dom0 serves it all the same \[domain-0\]\n$/,
    );
  });

  test("a domain that does not know its own id", async () => {
    const { code, stderr } = await runProgram(["devd", "-F", "--store", store.socketPath(2)]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/EACCES: READ domid|node domid is missing/);
  });

  test("in the background: returns when it serves, writes pid and log, ends on TERM", async () => {
    const log = join(directory, "logs", "devd.log");
    const pidfile = join(directory, "pid");
    await Bun.write(pidfile, "1234567890 of one that was killed, a much longer text\n");
    const args = [
      ...["devd", "--store", store.socketPath(1), "--run-dir", join(directory, "run")],
      ...["--log", log, "-p", pidfile],
    ];
    expect(await runProgram(args)).toMatchObject({ code: 0, stdout: "", stderr: "" });
    const pid = Number(readFileSync(pidfile, "utf8"));
    expect(readFileSync(pidfile, "utf8")).toBe(`${pid}\n`);
    expect(readFileSync(log, "utf8")).toMatch(/serving domain 1 through/);

    const again = await runProgram(args);
    expect(again.code).toBe(4);
    expect(again.stderr).toMatch(new RegExp(`another daemon, process ${pid}, serves already`));
    const other = await runProgram([
      ...["devd", "-F", "--store", store.socketPath(1), "-p", pidfile],
      ...["--run-dir", join(directory, "other")],
    ]);
    expect(other.code).toBe(4);

    process.kill(pid, "SIGTERM");
    await until(() => !existsSync(pidfile), () => "the pid file stays");
    expect(existsSync(join(directory, "run", "devd-1.lock"))).toBeFalse();
    expect(readFileSync(log, "utf8")).toMatch(/SIGTERM: stopping/);
  });

  test("in the background: a failure to start is the caller's to see", async () => {
    const { code, stderr } = await runProgram([
      ...["devd", "--store", store.socketPath(0), "--run-dir", join(directory, "run")],
      ...["--log", join(directory, "logs", "devd.log")],
    ]);
    expect(code).toBe(5);
    expect(stderr).toMatch(/^xdevd: this is domain 0/);
  });

  test("a log file that cannot be", async () => {
    const { code, stderr } = await runProgram([
      ...["devd", "--store", store.socketPath(1), "--run-dir", join(directory, "run")],
      ...["--log", "/proc/nothing/devd.log"],
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^xdevd: cannot prepare the log file \/proc\/nothing\/devd.log: .*\n$/);
  });
});
