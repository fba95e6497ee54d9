/**
 * Version 2 scripts on real parts: Debian's xenstored, the daemon and the commands as processes, and
 * a script that records what it is asked, in which environment, and fails or dawdles as told.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { V2_ACTIONS, type V2Action } from "../../core/hotplug/v2/convention.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, type Finished, runProgram, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const XVDA = 51712;
const HOME = `/local/domain/${DRIVER}`;
const BACKEND = `${HOME}/backend/vbd/${GUEST}/${XVDA}`;
const HOTPLUG = `${HOME}/libxl/hotplug/vbd/${GUEST}/${XVDA}`;
const TARGET = "iqn.2026-11.example:disk,portal=10.0.0.1 && \"$(id)\" '*'";

/** Notes action, arguments, environment and what it reads; two at once are noted as such. */
const SCRIPT = `#!/bin/sh
here=$(dirname "$0")
other=$(cat "$here/busy" 2>/dev/null || echo none)
# Not by kill -0: there may be nobody here who reaps what was killed.
tr -d '\\0' 2>/dev/null < "/proc/$other/cmdline" | grep -q . && echo "OVERLAP $1" >> "$here/diary"
echo $$ > "$here/busy"
echo "$*" >> "$here/diary"
env | sed 's/=.*//' | grep -v '^_$' | sort | tr '\\n' ' ' > "$here/$1.names"
printf '%s\\n%s\\n' "$HOTPLUG_PATH" "\${BACKEND_PATH-unset}" > "$here/$1.paths"
xenstore-read "$HOTPLUG_PATH/params" > "$here/$1.params"
if [ -e "$here/$1.sleep" ]; then
  time=$(cat "$here/$1.sleep")
  : > "$here/$1.sleeping"
  sleep "$time"
fi
rm -f "$here/busy"
if [ -e "$here/$1.fail" ]; then
  xenstore-write "\${BACKEND_PATH-$HOTPLUG_PATH}/hotplug-error" "no luck with $1"
  exit 3
fi
case "$1" in
version) xenstore-write "$HOTPLUG_PATH/version" 2 ;;
prepare) xenstore-write "$HOTPLUG_PATH/scratch" mine ;;
add)
  xenstore-write "$BACKEND_PATH/physical-device" 7:0 "$BACKEND_PATH/params" /dev/loop0 \\
    "$HOTPLUG_PATH/pdev" /dev/loop0 ;;
remove) xenstore-read "$HOTPLUG_PATH/scratch" > "$here/remove.scratch" ;;
localattach) xenstore-write "$HOTPLUG_PATH/pdev" /dev/loop0 ;;
esac
echo "ok $1" >> "$here/diary"
`;

if (requireReal("version 2 scripts", { packages: xenstoredPackages })) {
  describe("version 2 scripts", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let script: string;
    let device: HandMadeDevice;
    let daemon: DaemonProcess | null = null;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
      await giveLibxl();
    });

    afterAll(async () => {
      dom0.close();
      await store.stop();
    });

    beforeEach(async () => {
      directory = await fs.mkdtemp(join(tmpdir(), "xdevd-v2-"));
      script = join(directory, "block-record");
      await fs.writeFile(script, SCRIPT, { mode: 0o755 });
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: XVDA };
      device = new HandMadeDevice(dom0, id);
    });

    afterEach(async () => {
      await daemon?.stop("SIGKILL");
      daemon = null;
      await device.nuke();
      await dom0.removeOptional(`${HOME}/libxl/hotplug`);
      await fs.rm(directory, { recursive: true, force: true });
    });

    /** As the toolstack does with `driver_domain=1`. */
    async function giveLibxl(): Promise<void> {
      await dom0.makeDirectory(`${HOME}/libxl`);
      await dom0.setPermissions(`${HOME}/libxl`, [{ domid: DRIVER, access: "none" }]);
    }

    const common = () => [
      ...["--store", store.socketPath(DRIVER), "--scripts", directory],
      ...["--run-dir", join(directory, "run"), "--log-level", "debug"],
    ];

    async function start(...options: string[]): Promise<DaemonProcess> {
      return daemon = await DaemonProcess.start([...common(), ...options]);
    }

    function command(verb: string, ...more: string[]): Promise<Finished> {
      return runProgram([verb, ...common(), ...more, String(GUEST), "xvda"]);
    }

    function forTarget(verb: string, ...more: string[]): Promise<Finished> {
      return runProgram([verb, ...common(), "--script", script, ...more, "7", "xvda", TARGET]);
    }

    async function attach(more: Record<string, string> = {}): Promise<void> {
      await device.create({ script, params: TARGET, state: "2", ...more });
    }

    async function detached(): Promise<void> {
      await device.detach();
      await device.gone();
    }

    const told = (action: V2Action, how: "fail" | "sleep", text = "") =>
      fs.writeFile(join(directory, `${action}.${how}`), text);
    const noted = async (name: string) =>
      (await fs.readFile(join(directory, name), "utf8").catch(() => "")).trimEnd();
    const diary = async () => (await noted("diary")).split("\n").filter((line) => line !== "");
    /** Actions in the order in which they began. */
    const actions = async () => (await diary()).filter((line) => !line.startsWith("ok "));

    async function diaryHas(line: string): Promise<void> {
      await until(
        async () => (await diary()).includes(line),
        async () => `no ${line}: ${(await diary()).join(", ")}\n${daemon?.log}`,
      );
    }

    async function noHotplugDirectory(): Promise<void> {
      await until(
        async () => !await dom0.exists(`${HOME}/libxl/hotplug`),
        async () => `left: ${await dom0.listOptional(HOTPLUG)}\n${daemon?.log}`,
      );
    }

    test("attach and detach: the order, the environment, and what each finds", async () => {
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      expect(await device.nodes()).toMatchObject({
        "physical-device": "7:0",
        "physical-device-path": "/dev/loop0",
        params: "/dev/loop0",
      });
      expect(await dom0.readText(`${HOTPLUG}/params`)).toBe(TARGET);
      expect(await dom0.readText(`${HOTPLUG}/script`)).toBe(script);
      await daemon?.says(/: connected/);
      await detached();
      await noHotplugDirectory();
      expect(await actions()).toEqual(["version", "prepare", "add", "remove", "unprepare"]);
      expect((await diary()).filter((line) => line.startsWith("ok "))).toHaveLength(5);
      for (const action of ["version", "prepare", "add", "remove", "unprepare"] as const) {
        const connects = action === "add" || action === "remove";
        expect(await noted(`${action}.paths`)).toBe(`${HOTPLUG}\n${connects ? BACKEND : "unset"}`);
        expect(await noted(`${action}.params`)).toBe(TARGET);
        const names = (await noted(`${action}.names`)).split(" ");
        expect(names.filter((name) => !["PWD", "SHLVL"].includes(name))).toEqual([
          ...(connects ? ["BACKEND_PATH"] : []),
          ...["HOTPLUG_PATH", "PATH", "XDEVD_OPERATION", "XENSTORED_PATH", "XENSTORED_RUNDIR"],
        ]);
      }
      // Its scratch nodes live from prepare to unprepare.
      expect(await noted("remove.scratch")).toBe("mine");
    });

    test("without libxl of its own the directory is below data", async () => {
      await dom0.remove(`${HOME}/libxl`);
      try {
        await start();
        await attach();
        await device.reaches("hotplug-status", "connected");
        const own = `${HOME}/data/xdevd/hotplug/vbd/${GUEST}/${XVDA}`;
        expect(await noted("prepare.paths")).toBe(`${own}\nunset`);
        await daemon?.says(/: connected/);
        await detached();
        expect(await dom0.listOptional(`${HOME}/data`)).toEqual([]);
      } finally {
        await giveLibxl();
      }
    });

    // What fails (exit status 3), and what then is called, in order.
    const failures: [V2Action, readonly V2Action[]][] = [
      ["prepare", ["version", "prepare", "unprepare"]],
      ["add", ["version", "prepare", "add", "remove", "unprepare"]],
    ];
    for (const [action, expected] of failures) {
      for (const also of ["", "unprepare"] as const) {
        const what = also === "" ? action : `${action}, and then ${also}`;
        test(`a failing ${what}: each undoing once, and it says why`, async () => {
          await told(action, "fail");
          if (also !== "") await told(also, "fail");
          await start();
          await attach();
          await device.reaches("state", "6");
          expect(await device.read("hotplug-status")).toBe("error");
          expect(await device.read("hotplug-error")).toContain(`no luck with ${action}`);
          expect(await actions()).toEqual([...expected]);
          await noHotplugDirectory();
          await detached();
          expect(await actions()).toEqual([...expected]);
        });
      }
    }

    test("a failing unprepare does not stop a detach", async () => {
      await told("unprepare", "fail");
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      await detached();
      await noHotplugDirectory();
      expect(await actions()).toEqual(["version", "prepare", "add", "remove", "unprepare"]);
      expect(daemon?.log).toContain("no luck with unprepare");
    });

    for (const fails of [null, "add"] as const) {
      const what = fails === null ? "a detach" : "a failing add";
      test(`${what}, and a remove that fails: it is called again until it succeeds`, async () => {
        if (fails !== null) await told(fails, "fail");
        await told("remove", "fail");
        await start();
        await attach();
        if (fails === null) {
          await device.reaches("hotplug-status", "connected");
          await daemon?.says(/: connected/);
          await device.detach();
        } else await device.reaches("state", "6");
        const before = ["version", "prepare", "add"];
        await until(
          async () => (await actions()).length >= before.length + 2,
          async () => `${await actions()}\n${daemon?.log}`,
        );
        expect(daemon?.log).toContain("no luck with remove");
        expect(new Set((await actions()).slice(before.length))).toEqual(new Set(["remove"]));
        await fs.rm(join(directory, "remove.fail"));
        if (fails === null) await device.gone();
        else await daemon?.says(/undone at last/);
        await noHotplugDirectory();
        const after = (await actions()).slice(before.length);
        expect(after.join(" ")).toMatch(/^remove( remove)+ unprepare$/);
      });
    }

    test("a script that fails at version is one of version 1", async () => {
      await told("version", "fail");
      await start();
      await attach();
      await diaryHas("add");
      await device.reaches("state", "6");
      // The daemon asks once, however often it attaches.
      expect(await actions()).toEqual(["version", "add", "remove"]);
      expect((await noted("add.paths")).startsWith("\n")).toBe(true);
      await noHotplugDirectory();
    });

    test("one that merely succeeds at version is not mistaken, and not asked again", async () => {
      await fs.writeFile(
        script,
        `#!/bin/sh\n# no HOTPLUG_PATH\necho "$1" >> "$(dirname "$0")/diary"\n` +
          `[ "$1" = add ] || exit 0\n` +
          `xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/hotplug-status" connected\n`,
      );
      await start();
      for (let round = 0; round < 2; round++) {
        await attach();
        await device.reaches("hotplug-status", "connected");
        await daemon?.says(/: connected/);
        await detached();
      }
      expect(await actions()).toEqual(["version", "add", "remove", "add", "remove"]);
    });

    test("configuration decides: a version 2 script is run as 1, one of 1 is never asked", async () => {
      const config = join(directory, "config.toml");
      await fs.writeFile(config, `[scripts.block-record]\nversion = 2\n`, { mode: 0o644 });
      await start("--config", config);
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      await detached();
      expect(await actions()).toEqual(["prepare", "add", "remove", "unprepare"]);
      await daemon?.stop();
      await fs.writeFile(config, `[scripts."${script}"]\nversion = 1\n`);
      await fs.rm(join(directory, "diary"));
      await start("--config", config);
      await attach();
      await device.reaches("state", "6");
      expect(await actions()).toEqual(["add", "remove"]);
    });

    // Killed while an action runs, the script being killed too, or coming to its end unwatched.
    const kills: [V2Action, readonly V2Action[]][] = [
      ["version", ["version", "version", "prepare", "add"]],
      ["prepare", ["version", "prepare", "unprepare", "version", "prepare", "add"]],
      ["add", ["version", "prepare", "add", "remove", "unprepare", "version", "prepare", "add"]],
    ];
    for (const [action, expected] of kills) {
      test(`killed during ${action}: the script ends first, it is undone, and done again`, async () => {
        await told(action, "sleep", "0.7");
        await start();
        await attach();
        await diaryHas(action);
        await daemon?.stop("SIGKILL");
        await start();
        await device.reaches("hotplug-status", "connected");
        await daemon?.says(/: connected/);
        expect(await actions()).toEqual([...expected]);
        expect(await dom0.readText(`${HOTPLUG}/params`)).toBe(TARGET);
        await detached();
        await noHotplugDirectory();
      });
    }

    test("killed during remove, and during unprepare: the next daemon finishes", async () => {
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      await told("remove", "sleep", "0.5");
      await told("unprepare", "sleep", "0.5");
      await device.detach();
      await diaryHas("remove");
      await daemon?.stop("SIGKILL");
      await start();
      await diaryHas("unprepare");
      await daemon?.stop("SIGKILL");
      await start();
      await device.gone();
      await noHotplugDirectory();
      const all = await actions();
      expect(all.slice(0, 3)).toEqual(["version", "prepare", "add"]);
      expect(all.slice(3)).toEqual(["remove", "remove", "unprepare", "unprepare"]);
    });

    test("a restart adopts it without running anything, with a journal and without", async () => {
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      for (const loses of [false, true]) {
        await daemon?.stop("SIGKILL");
        if (loses) await fs.rm(join(directory, "run"), { recursive: true });
        await start();
        await daemon?.says(/was set up before: adopted/);
        expect(await actions()).toEqual(["version", "prepare", "add"]);
      }
      await detached();
      await noHotplugDirectory();
      expect((await actions()).slice(3)).toEqual(["remove", "unprepare"]);
    });

    test("a backend directory deleted by force: undone from its own directory", async () => {
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      await device.nuke();
      await diaryHas("ok unprepare");
      await noHotplugDirectory();
      expect((await actions()).slice(3)).toEqual(["remove", "unprepare"]);
      expect(await noted("remove.paths")).toBe(
        `${HOTPLUG}\n${HOME}/data/xdevd/backend/vbd/${GUEST}/${XVDA}`,
      );
      expect(await noted("unprepare.params")).toBe(TARGET);
    });

    test("the hotplug directory lost too: undone from the journal", async () => {
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      await dom0.remove(HOTPLUG);
      await detached();
      await noHotplugDirectory();
      expect((await actions()).slice(3)).toEqual(["remove", "unprepare"]);
      expect(await noted("remove.params")).toBe(TARGET);
    });

    test("an unprepare that takes long does not keep the toolstack waiting", async () => {
      await start("--time", "budget=0.3");
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      await told("unprepare", "sleep", "1.5");
      await detached();
      expect(await diary()).not.toContain("ok unprepare");
      await diaryHas("ok unprepare");
      await noHotplugDirectory();
    });

    test("a limit of its own: prepare is ended, with what it has started", async () => {
      await told("prepare", "sleep", "30");
      await start("--time", "prepare=0.3");
      await attach();
      await device.reaches("state", "6");
      expect(await device.read("hotplug-error")).toMatch(/prepare: did not end within 0\.3 s/);
      expect(await actions()).toEqual(["version", "prepare", "unprepare"]);
    });

    test("prepared ahead by command: the attach goes directly to add", async () => {
      expect(await forTarget("prepare")).toMatchObject({ code: 0, stdout: "" });
      expect(await actions()).toEqual(["version", "prepare"]);
      // Once more does no harm.
      expect((await command("prepare")).code).toBe(0);
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      expect((await actions()).filter((action) => action !== "version")).toEqual([
        "prepare",
        "add",
      ]);
      const refused = await command("unprepare");
      expect([refused.code, refused.stderr]).toEqual([
        1,
        "xdevd: xvda (vbd/7/51712) is attached: detach it first [device-in-use]\n",
      ]);
      await detached();
      await noHotplugDirectory();
      expect((await actions()).slice(-2)).toEqual(["remove", "unprepare"]);
    });

    test("prepared for another target: that is undone first", async () => {
      expect((await forTarget("prepare")).code).toBe(0);
      await start();
      await attach({ params: "another" });
      await device.reaches("hotplug-status", "connected");
      expect((await actions()).filter((action) => action !== "version")).toEqual([
        "prepare",
        "unprepare",
        "prepare",
        "add",
      ]);
      expect(await noted("add.params")).toBe("another");
    });

    test("an attach that comes while prepare runs waits for it", async () => {
      await told("prepare", "sleep", "0.8");
      await start();
      const preparing = forTarget("prepare");
      await diaryHas("prepare");
      await attach();
      expect((await preparing).code).toBe(0);
      await device.reaches("hotplug-status", "connected");
      expect((await actions()).filter((action) => action !== "version")).toEqual([
        "prepare",
        "add",
      ]);
    });

    test("prepare that fails is unprepared once; that is so when it is told to stop, too", async () => {
      await told("prepare", "fail");
      const failed = await forTarget("prepare");
      expect(failed.code).toBe(1);
      expect(failed.stderr).toMatch(/exited with status 3: no luck with prepare\n$/);
      await noHotplugDirectory();
      expect(await actions()).toEqual(["version", "prepare", "unprepare"]);
      await told("prepare", "sleep", "30");
      const late = await forTarget("prepare", "--timeout", "0.4");
      expect(late.code).toBe(1);
      expect(late.stderr).toMatch(/did not end within 0\.4 s/);
      await noHotplugDirectory();
      expect((await actions()).slice(3)).toEqual(["version", "prepare", "unprepare"]);
    });

    test("unprepare, when no attach came; nothing to do is no failure", async () => {
      expect((await forTarget("prepare")).code).toBe(0);
      expect((await command("unprepare")).code).toBe(0);
      await noHotplugDirectory();
      expect((await command("unprepare")).code).toBe(0);
      expect(await actions()).toEqual(["version", "prepare", "unprepare"]);
    });

    test("local attachments are counted: the script runs for the first and after the last", async () => {
      expect(await forTarget("local-attach")).toMatchObject({ code: 0, stdout: "/dev/loop0\n" });
      expect(await command("local-attach")).toMatchObject({ code: 0, stdout: "/dev/loop0\n" });
      expect((await command("local-detach")).code).toBe(0);
      expect(await actions()).toEqual(["version", "prepare", "localattach"]);
      expect((await command("local-detach")).code).toBe(0);
      await noHotplugDirectory();
      expect((await actions()).slice(3)).toEqual(["localdetach", "unprepare"]);
      expect(await noted("localattach.paths")).toBe(`${HOTPLUG}\nunset`);
      expect(await noted("localdetach.paths")).toBe(`${HOTPLUG}\nunset`);
    });

    test("prepare after local-attach: it stays prepared when that ends, until unprepare", async () => {
      expect((await forTarget("local-attach")).code).toBe(0);
      expect((await command("prepare")).code).toBe(0);
      expect((await command("local-detach")).code).toBe(0);
      expect((await actions()).at(-1)).toBe("localdetach");
      expect((await command("unprepare")).code).toBe(0);
      await noHotplugDirectory();
      expect((await actions()).at(-1)).toBe("unprepare");
    });

    test("many at once, with an attach among them: one after the other, each counted", async () => {
      await start();
      const many = Array.from({ length: 5 }, () => forTarget("local-attach"));
      await attach();
      for (const { code, stdout } of await Promise.all(many)) {
        expect([code, stdout]).toEqual([0, "/dev/loop0\n"]);
      }
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      const detaching = Array.from({ length: 5 }, () => command("local-detach"));
      await device.detach();
      for (const { code } of await Promise.all(detaching)) expect(code).toBe(0);
      await device.gone();
      await noHotplugDirectory();
      const all = (await actions()).filter((action) => action !== "version");
      for (const action of ["prepare", "add", "remove", "unprepare", "localattach"]) {
        expect(all.filter((one) => one === action)).toHaveLength(1);
      }
      expect([all[0], all.at(-1), all.length]).toEqual(["prepare", "unprepare", 6]);
    });

    test("a local attachment outlives a detach: the last one out unprepares", async () => {
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      expect((await command("local-attach")).stdout).toBe("/dev/loop0\n");
      await detached();
      expect((await actions()).slice(3)).toEqual(["localattach", "remove"]);
      expect((await command("unprepare")).stderr).toContain("is attached locally");
      expect((await command("local-detach")).code).toBe(0);
      await noHotplugDirectory();
      expect((await actions()).slice(5)).toEqual(["localdetach", "unprepare"]);
    });

    test("a failing localattach is followed by localdetach, and unprepared if that was its own", async () => {
      await told("localattach", "fail");
      const failed = await forTarget("local-attach");
      expect([failed.code, failed.stdout]).toEqual([1, ""]);
      expect(await actions()).toEqual([
        ...["version", "prepare", "localattach", "localdetach", "unprepare"],
      ]);
      await noHotplugDirectory();
      await fs.rm(join(directory, "diary"));
      await forTarget("prepare");
      expect((await command("local-attach")).code).toBe(1);
      expect(await actions()).toEqual(["version", "prepare", "localattach", "localdetach"]);
      await told("localdetach", "fail");
      expect((await command("local-attach")).code).toBe(1);
      expect((await actions()).slice(4)).toEqual(["localattach", "localdetach"]);
      expect((await command("unprepare")).code).toBe(0);
      await noHotplugDirectory();
    });

    test("a command that is killed: its script ends first, then it is undone", async () => {
      await told("prepare", "sleep", "1");
      const killed = Bun.spawn([process.execPath, join(import.meta.dir, "../../main.ts"), ...[
        "prepare",
        ...common(),
        ...["--script", script, "7", "xvda", TARGET],
      ]], { stderr: "ignore" });
      await until(() => fs.exists(join(directory, "prepare.sleeping")), () => "");
      killed.kill("SIGKILL");
      await killed.exited;
      await fs.rm(join(directory, "prepare.sleep"));
      expect((await command("prepare", "--script", script)).code).toBe(0);
      const all = await diary();
      expect(all.filter((line) => !line.includes("version"))).toEqual([
        ...["prepare", "ok prepare", "unprepare", "ok unprepare", "prepare", "ok prepare"],
      ]);
    });

    test("a command that is told to stop ends its script, and undoes it", async () => {
      await told("prepare", "sleep", "30");
      const main = join(import.meta.dir, "..", "..", "main.ts");
      const argv = ["prepare", ...common(), "--script", script, "7", "xvda", TARGET];
      const stopped = Bun.spawn([process.execPath, main, ...argv], { stderr: "pipe" });
      await diaryHas("prepare");
      stopped.kill("SIGTERM");
      expect(await stopped.exited).toBe(1);
      expect(await new Response(stopped.stderr).text()).toContain("was stopped: SIGTERM");
      await noHotplugDirectory();
      expect(await actions()).toEqual(["version", "prepare", "unprepare"]);
    });

    test("a script of a killed daemon that does not end is ended, and then undone", async () => {
      await told("prepare", "sleep", "30");
      await start();
      await attach();
      await until(() => fs.exists(join(directory, "prepare.sleeping")), () => daemon?.log ?? "");
      await daemon?.stop("SIGKILL");
      await fs.rm(join(directory, "prepare.sleep"));
      await start("--time", "orphans=0.3");
      await device.reaches("hotplug-status", "connected");
      const all = await diary();
      expect(all.filter((line) => !line.includes("version"))).toEqual([
        ...["prepare", "unprepare", "ok unprepare", "prepare", "ok prepare", "add", "ok add"],
      ]);
    });

    test("version 1 cannot be prepared; nothing is asked of one that cannot know", async () => {
      await fs.writeFile(script, `#!/bin/sh\necho "$1" >> "$(dirname "$0")/diary"\n`);
      const refused = await forTarget("prepare");
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain("is of version 1, which cannot be prepared");
      expect(await actions()).toEqual([]);
      expect((await command("prepare")).code).toBe(2);
    });

    test("every action was seen", () => {
      const seen = new Set<V2Action>(["localattach", "localdetach"]);
      for (const [, list] of [...failures, ...kills]) for (const action of list) seen.add(action);
      expect([...seen].sort()).toEqual([...V2_ACTIONS].sort());
    });
  });
}
