/**
 * Another version of the program takes over while a device is connected: with a journal of the last
 * version (core's `fixtures/version_1.journal`, which a daemon of that version has written), and with
 * one of a later version.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack, unpack } from "msgpackr/pack";
import { replay } from "../../core/daemon/journal/format.ts";
import { ATTACH_ID_NODE } from "../../core/daemon/device/attach_id_node.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { framed } from "../core/daemon/journal/samples.ts";
import { DaemonProcess, runProgram, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const DEVID = 51712;
const FIXTURE = join(import.meta.dir, "../core/daemon/journal/fixtures/version_1.journal");
/** Where the daemon that wrote the fixture had its script. */
const THEN = "/tmp/xdevd-version-1";

/** A script that keeps a diary. */
const SCRIPT = `#!/bin/sh
echo "$1" >> "$(dirname "$0")/diary"
[ "$1" = add ] && xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/hotplug-status" connected
exit 0
`;

/** A journal's payloads, one by one. */
function payloads(bytes: Uint8Array): Record<string, unknown>[] {
  const all: Record<string, unknown>[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 0; at < bytes.length; at += 8 + view.getUint32(at, true)) {
    all.push(unpack(bytes.slice(at + 8, at + 8 + view.getUint32(at, true))));
  }
  return all;
}

const journalOf = (values: readonly object[]) =>
  new Uint8Array(Buffer.concat(values.map((value) => framed(pack(value)))));

if (requireReal("another version of the program", { packages: xenstoredPackages })) {
  describe("with a device connected", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let journal: string;
    let device: HandMadeDevice;
    let daemon: DaemonProcess | null = null;

    beforeEach(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
      directory = await fs.mkdtemp(join(tmpdir(), "xdevd-upgrade-"));
      await fs.writeFile(join(directory, "block-old"), SCRIPT, { mode: 0o755 });
      await fs.mkdir(join(directory, "run"), { mode: 0o755 });
      journal = join(directory, "run", `devd-${DRIVER}.journal`);
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: DEVID };
      device = new HandMadeDevice(dom0, id);
    });

    afterEach(async () => {
      await daemon?.stop("SIGKILL");
      daemon = null;
      dom0.close();
      await store.stop();
      await fs.rm(directory, { recursive: true, force: true });
    });

    const options = () => [
      ...["--store", store.socketPath(DRIVER), "--scripts", directory],
      ...["--run-dir", join(directory, "run")],
    ];
    async function start(): Promise<DaemonProcess> {
      return daemon = await DaemonProcess.start(options());
    }
    const diary = async () =>
      (await fs.readFile(join(directory, "diary"), "utf8").catch(() => "")).trim().split("\n");
    const script = () => join(directory, "block-old");
    const bootId = async () =>
      (await fs.readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();

    test("upgrade: the last version's journal is taken up, and the device undone by it", async () => {
      const [header, ...rest] = payloads(new Uint8Array(await fs.readFile(FIXTURE)));
      // Of this machine, of this test's script, and only of the device that the daemon had served.
      const here = (value: object) =>
        JSON.parse(JSON.stringify(value).replaceAll(THEN, directory)) as { put?: { id: object } };
      const records = rest.map(here).filter(({ put }) =>
        (put?.id as { devid?: number } | undefined)?.devid === DEVID
      );
      expect(records.length).toBeGreaterThan(1);
      const bytes = journalOf([{ ...header, bootId: await bootId() }, ...records]);
      const entry = replay(bytes).entries.get(`vbd/${GUEST}/${DEVID}`)!;
      await fs.writeFile(journal, bytes, { mode: 0o600 });
      await device.create({
        ...{ script: script(), params: "/dev/x", state: "4", "physical-device": "7:0" },
        ...{ "hotplug-status": "connected", [ATTACH_ID_NODE]: entry.attachId! },
      });
      const next = await start();
      await next.says(/is of version 1: its 1 records are taken over into version 2/);
      await next.says(/was set up before: adopted as it is/);
      // Nobody took it for another one.
      expect(await device.read(ATTACH_ID_NODE)).toBe(entry.attachId!);
      await device.detach();
      await device.gone();
      await next.says(/: removed/);
      expect(await diary()).toEqual(["remove"]);
      expect(replay(new Uint8Array(await fs.readFile(journal)))).toMatchObject({
        version: 2,
        damage: null,
        entries: new Map(),
      });
    });

    test("rollback: a later version's journal is refused, and waits for that version", async () => {
      const first = await start();
      await device.create({ script: script(), params: "/dev/x", state: "2" });
      await device.reaches("hotplug-status", "connected");
      await first.says(/: connected/);
      await first.stop("SIGKILL");
      const bytes = new Uint8Array(await fs.readFile(journal));
      const [header, ...rest] = payloads(bytes);
      const later = journalOf([{ ...header, version: 3 }, ...rest]);
      await fs.writeFile(journal, later);
      const nodes = await device.nodes();
      const { code, stderr } = await runProgram(["devd", "-F", ...options()]);
      expect(code).toBe(1);
      const lines = stderr.trimEnd().split("\n").filter((line) => line.includes("journal"));
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain(
        `cannot use the journal ${journal}: it is of version 3; expected 1 to 2: a later xdevd has ` +
          "written it, and has to be the one that runs; nothing was changed",
      );
      expect(new Uint8Array(await fs.readFile(journal))).toEqual(later);
      expect(await device.nodes()).toEqual(nodes);
      expect(await diary()).toEqual(["add"]);
      // The later version again; here this one, in its place.
      await fs.writeFile(journal, bytes);
      const second = await start();
      await second.says(/was set up before: adopted as it is/);
      await device.detach();
      await device.gone();
      await until(
        async () => (await diary()).join(" ") === "add remove",
        async () => (await diary()).join(" "),
      );
    });
  });
}
