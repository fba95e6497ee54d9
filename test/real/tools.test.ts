/** Debian's own tools, and its test program, with the embedded server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { until } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";

let store: EmbeddedStore;

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a tool as a domain; the server is in this process, so nothing may block. */
function run(argv: string[], domid = 0): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0]!, argv.slice(1), {
      env: {
        PATH: process.env["PATH"] ?? "",
        XENSTORED_RUNDIR: store.dir,
        XENSTORED_PATH: store.socketPath(domid),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk) => out += chunk);
    child.stderr.on("data", (chunk) => err += chunk);
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, out, err }));
  });
}

if (requireReal("Debian's xenstore tools", { packages: xenstoredPackages })) {
  beforeAll(async () => {
    store = await startEmbeddedStore([7]);
  });

  afterAll(() => store.stop());

  test("write, read, list, exists, ls, chmod, rm", async () => {
    expect(await run(["xenstore-write", "/t/a", "1", "/t/b", "two"])).toMatchObject({ code: 0 });
    expect(await run(["xenstore-read", "/t/a", "/t/b"])).toMatchObject({
      code: 0,
      out: "1\ntwo\n",
    });
    expect(await run(["xenstore-list", "/t"])).toMatchObject({ code: 0, out: "a\nb\n" });
    expect((await run(["xenstore-exists", "/t/a"])).code).toBe(0);
    expect((await run(["xenstore-exists", "/t/x"])).code).toBe(1);
    expect(await run(["xenstore-chmod", "/t", "n0", "r7"])).toMatchObject({ code: 0 });
    expect((await run(["xenstore-ls", "-fp", "/t"])).out)
      .toBe('/t/a = "1"   (n0)\n/t/b = "two"   (n0)\n');
    expect((await run(["xenstore-read", "/t/b"], 7)).code).toBe(1);
    expect((await run(["xenstore-list", "/t"], 7)).out).toBe("a\nb\n");
    expect(await run(["xenstore-rm", "/t/a"])).toMatchObject({ code: 0 });
    expect(await run(["xenstore-read", "/t/a"])).toMatchObject({
      code: 1,
      err: "xenstore-read: couldn't read path /t/a\n",
    });
  });

  test("watch", async () => {
    const watching = run(["xenstore-watch", "-n", "3", "/w"]);
    await until(() => store.server.used(0, "watches") > 0, () => "the watch never came");
    await run(["xenstore-write", "/w/x", "1"]);
    await run(["xenstore-rm", "/w"]);
    const { code, out } = await watching;
    expect(code).toBe(0);
    expect(out).toBe("/w\n/w/x\n/w\n");
  });

  test("test-xenstore succeeds, as domain 0 and as a guest", async () => {
    await run(["xenstore-write", "/local/domain/7", ""]);
    await run(["xenstore-chmod", "/local/domain/7", "n7"]);
    for (const domid of [0, 7]) {
      const { code, out } = await run(["/usr/lib/xen-4.17/bin/test-xenstore", "-i", "50"], domid);
      expect(out).toMatch(/ta rmw/);
      expect(code).toBe(0);
    }
  });
}
