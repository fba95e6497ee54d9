/** vTPMs with Debian's swtpm: the daemon, its processes and its store, a guest without Xen. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { requireReal } from "../../real/requirements.ts";
import { until } from "../../support/daemon_process.ts";
import {
  CANCEL,
  CREATE_PRIMARY,
  EXTEND_PCR_16,
  FINISH,
  framed,
  IDLE,
  RANDOM,
  READ_PCR_16,
  UUID,
  VtpmWorld,
} from "../../support/vtpm_world.ts";
import { backendPath } from "../../../core/xen/device_id.ts";

setDefaultTimeout(60_000);

const OTHER = "11111111-2222-3333-4444-555555555555";

const worlds: VtpmWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.stop();
}, 30_000);

async function world(settings: VtpmWorld["settings"] = {}): Promise<VtpmWorld> {
  const made = new VtpmWorld();
  worlds.push(made);
  made.settings = settings;
  await made.start();
  return made;
}

/** The line of /proc/PID/status. */
const statusOf = (pid: number | undefined, name: string) =>
  new RegExp(`^${name}:\\s*(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];

const SUCCESS = "00000000";
const codeOf = (answer: string | null) => answer?.slice(12, 20);

// An NV index of 8 bytes, 0x01500001, that its owner reads and writes: NV_DefineSpace, NV_Write, NV_Read.
const PASSWORD = "00000009400000090000000000";
const NV_DEFINE = framed(
  "8002",
  "0000012a",
  `40000001${PASSWORD}0000000e01500001000b0006000600000008`,
);
const NV_WRITE = framed(
  "8002",
  "00000137",
  `4000000101500001${PASSWORD}0008${"c0ffee0123456789"}0000`,
);
const NV_READ = framed("8002", "0000014e", `4000000101500001${PASSWORD}00080000`);

if (requireReal("vTPMs with swtpm", { packages: ["swtpm"], root: true })) {
  describe("TPM 2.0", () => {
    test("random numbers, PCRs, and what is left of it", async () => {
      const w = await world();
      const guest = await w.connected();
      expect(await w.dom0.readOptional(`${backendPath(w.device())}/feature-protocol-v2`)).toBe("1");
      const [one, two] = [await guest.ask(RANDOM), await guest.ask(RANDOM)];
      expect([codeOf(one), one?.length]).toEqual([SUCCESS, 56]);
      expect(two).not.toBe(one);
      const before = await guest.ask(READ_PCR_16);
      expect(before).toEndWith("00".repeat(32));
      expect(codeOf(await guest.ask(EXTEND_PCR_16))).toBe(SUCCESS);
      expect(await guest.ask(READ_PCR_16)).not.toBe(before);
      // Without root's rights, and each as a user of its own.
      const [server, swtpm] = [await w.pidOf("server"), await w.pidOf("swtpm")];
      for (const pid of [server, swtpm]) {
        expect(statusOf(pid, "CapEff")).toBe("0000000000000000");
        expect(statusOf(pid, "NoNewPrivs")).toBe("1");
      }
      expect(statusOf(swtpm, "Uid")).toContain(String(0x7fff_8007));
      expect(statusOf(server, "Uid")).not.toBe(statusOf(swtpm, "Uid"));
      expect(w.kept.use(UUID)?.by).toBe("vtpm/7/0");
      expect(statSync(w.kept.path(UUID)!).mode & 0o777).toBe(0o700);
      expect(await w.detach()).toBeLessThan(3_000);
      expect(w.kept.use(UUID)?.by).toBeNull();
      expect(readdirSync(w.kept.path(UUID)!).sort())
        .toEqual([".lock", ".use", "created", "log", "tpm2-00.permall", "version"]);
      expect(() => process.kill(swtpm!, 0)).toThrow();
      expect(w.log.filter((line) => / (warning|error) /.test(line))).toEqual([]);
    });

    test("what it keeps survives; PCRs do not, and no random number comes twice", async () => {
      const w = await world();
      let guest = await w.connected();
      expect(codeOf(await guest.ask(NV_DEFINE))).toBe(SUCCESS);
      expect(codeOf(await guest.ask(NV_WRITE))).toBe(SUCCESS);
      await guest.ask(EXTEND_PCR_16);
      const random = new Set([await guest.ask(RANDOM)]);
      for (let round = 0; round < 5; round++) {
        await w.detach();
        // As a kill in the middle would leave it.
        writeFileSync(`${w.kept.path(UUID)}/tpm2-00.volatilestate`, "old");
        guest = await w.connected();
        expect(await guest.ask(NV_READ)).toContain("c0ffee0123456789");
        expect(await guest.ask(READ_PCR_16)).toEndWith("00".repeat(32));
        random.add(await guest.ask(RANDOM));
      }
      expect(random.size).toBe(6);
      // Five starts later it is not locked (TPM_RC_LOCKOUT, 0x921).
      expect(codeOf(await guest.ask(CREATE_PRIMARY))).toBe(SUCCESS);
    });
  });

  test("TPM 1.2, by the setting", async () => {
    const w = await world({ version: "1.2" });
    const guest = await w.connected();
    const random = "00c10000000e0000004600000010";
    const [one, two] = [await guest.ask(random), await guest.ask(random)];
    expect([one?.slice(0, 4), codeOf(one)]).toEqual(["00c4", SUCCESS]);
    expect(one).not.toBe(two);
    // TPM_PCRRead of PCR 10.
    expect(codeOf(await guest.ask("00c10000000e000000150000000a"))).toBe(SUCCESS);
    expect(await guest.ask(random, { locality: 3 })).toBe("00c40000000a0000003d");
    await w.detach();
    expect(w.kept.read(UUID, "version")).toBe("1.2\n");
    // What it is stays: the setting is for new ones.
    w.settings = {};
    expect(codeOf(await (await w.connected()).ask(random))).toBe(SUCCESS);
  });

  describe("what a guest may do", () => {
    test("a page without sense gets no answer, and nobody else notices", async () => {
      const w = await world();
      const guest = await w.connected();
      for (const length of [0, 1, 9, 4089, 0x7fff_ffff, 0xffff_ffff]) {
        expect(await guest.ask(RANDOM, { length })).toBeNull();
        expect(guest.state).toBe(IDLE);
      }
      for (const extra of [1, 255]) expect(await guest.ask(RANDOM, { extra })).toBeNull();
      for (const locality of [1, 2, 3, 4, 5, 255]) {
        expect(await guest.ask(RANDOM, { locality })).toBe("80010000000a00000907");
      }
      // TPM_RC_COMMAND_SIZE, by the TPM itself; the longest command that there is.
      expect(codeOf(await guest.ask(RANDOM, { length: 4088 }))).toBe("00000142");
      expect(codeOf(await guest.ask(RANDOM, { length: 10 }))).toBe("00000142");
      for (const state of [4, 100, 255]) {
        guest.grant.memory.write8(4, state);
        guest.port.notify();
      }
      guest.grant.memory.write8(4, CANCEL);
      guest.port.notify();
      expect(await guest.given()).toBe(IDLE);
      expect(codeOf(await guest.ask(RANDOM))).toBe(SUCCESS);
      expect(w.log.filter((line) => line.includes("the guest makes no sense"))).toHaveLength(1);
    });

    test("a page that changes all the time, and a bell without end", async () => {
      const w = await world();
      const guest = await w.connected();
      const { memory } = guest.grant;
      let rounds = 0;
      const end = Date.now() + 2_000;
      while (Date.now() < end) {
        const word = () => Math.floor(Math.random() * 2 ** 32);
        memory.write32(0, rounds % 3 === 0 ? 12 : word());
        memory.write32(4, rounds % 2 === 0 ? 1 : word());
        memory.write(8, Uint8Array.from(Buffer.from(RANDOM, "hex")));
        for (let bells = 0; bells < 20; bells++) guest.port.notify();
        if (++rounds % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      memory.write8(4, CANCEL);
      guest.port.notify();
      await guest.given();
      expect(codeOf(await guest.ask(RANDOM))).toBe(SUCCESS);
      expect(rounds).toBeGreaterThan(1_000);
      expect(await w.pidOf("server")).toBeDefined();
    });

    test("localities, where the administrator allows them", async () => {
      const w = await world({ localities: ["0", "2"] });
      const guest = await w.connected();
      expect(codeOf(await guest.ask(RANDOM, { locality: 2 }))).toBe(SUCCESS);
      // PCR_Reset of PCR 20, which only localities 2 and 4 may.
      const reset = framed("8002", "0000013d", `00000014${PASSWORD}`);
      expect(codeOf(await guest.ask(reset, { locality: 0 }))).toBe("00000907");
      expect(codeOf(await guest.ask(reset, { locality: 2 }))).toBe(SUCCESS);
      expect(codeOf(await guest.ask(reset, { locality: 4 }))).toBe("00000907");
    });

    test("a driver that is unbound and bound again finds its TPM as it was", async () => {
      const w = await world();
      const guest = await w.connected();
      await guest.ask(EXTEND_PCR_16);
      const pcr = await guest.ask(READ_PCR_16);
      await guest.write(6);
      await w.reaches(`${backendPath(w.device())}/state`, "2");
      const again = await w.connect7();
      expect(await again.ask(READ_PCR_16)).toBe(pcr);
      // mini-os goes straight to 4.
      await again.write(6);
      await w.reaches(`${backendPath(w.device())}/state`, "2");
      expect(await (await w.connect7(w.device(), 4)).ask(READ_PCR_16)).toBe(pcr);
    });

    test("one of the old protocol is refused, and told so", async () => {
      const w = await world();
      await w.attach(w.device(), { uuid: UUID });
      await w.reaches(`${backendPath(w.device())}/state`, "2");
      const [grant, port] = [w.guest7.grant(1), await w.guest7.openPort()];
      await w.offer(w.device(), {
        "ring-ref": String(grant.references[0]),
        "event-channel": String(port.number),
      });
      await w.reaches(`${backendPath(w.device())}/hotplug-status`, "error");
      expect(await w.dom0.readOptional(`${backendPath(w.device())}/hotplug-error`))
        .toMatch(/does not say feature-protocol-v2/);
    });
  });

  describe("what dies", () => {
    test("swtpm: the device is closed and told why; a waiting command ends", async () => {
      const w = await world();
      const guest = await w.connected();
      process.kill((await w.pidOf("swtpm"))!, "SIGSTOP");
      guest.submit(RANDOM);
      process.kill((await w.pidOf("swtpm"))!, "SIGKILL");
      expect(await guest.given()).toBe(IDLE);
      await w.reaches(`${backendPath(w.device())}/hotplug-status`, "error");
      const said = await w.dom0.readOptional(`${backendPath(w.device())}/hotplug-error`);
      expect(said).toMatch(/swtpm.* (has ended|was killed by SIGKILL)/);
      await until(async () => /^[56]$/.test(await w.state(w.device()) ?? ""), () => w.log.join(""));
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect(await w.pidOf("swtpm")).toBeUndefined();
      await guest.write(6);
      await w.detach();
      expect(w.log.join("")).not.toContain("at its end");
      // Attached anew it is there, as far as it keeps things.
      expect(codeOf(await (await w.connected()).ask(RANDOM))).toBe(SUCCESS);
    });

    test("the daemon: the guest goes on, the next one takes it up", async () => {
      const w = await world();
      const guest = await w.connected();
      await guest.ask(EXTEND_PCR_16);
      const pcr = await guest.ask(READ_PCR_16);
      w.killDaemon();
      expect(await guest.ask(READ_PCR_16)).toBe(pcr);
      await w.startDaemon();
      expect(await guest.ask(READ_PCR_16)).toBe(pcr);
      expect(await w.detach()).toBeLessThan(3_000);
      expect(w.kept.use(UUID)?.by).toBeNull();
    });

    test("the process that serves the page: another one goes on, with the same PCRs", async () => {
      const w = await world();
      const guest = await w.connected();
      await guest.ask(EXTEND_PCR_16);
      const pcr = await guest.ask(READ_PCR_16);
      for (let round = 0; round < 2; round++) {
        const [server, swtpm] = [(await w.pidOf("server"))!, await w.pidOf("swtpm")];
        process.kill(server, "SIGKILL");
        const isNew = async () => ![undefined, server].includes(await w.pidOf("server"));
        await until(isNew, () => w.log.join(""));
        expect(await guest.ask(READ_PCR_16)).toBe(pcr);
        expect(await w.pidOf("swtpm")).toBe(swtpm);
        expect(await w.state(w.device())).toBe("4");
        if (round > 0) continue;
        // The next daemon knows as well how it was opened.
        w.killDaemon();
        await w.startDaemon();
        await until(() => /adopted as it is/.test(w.log.join("")), () => w.log.join(""));
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      for (let round = 0; round < 5; round++) {
        const server = await w.pidOf("server");
        if (server !== undefined) process.kill(server, "SIGKILL");
        await new Promise((resolve) => setTimeout(resolve, 700));
      }
      // Not without end.
      await w.reaches(`${backendPath(w.device())}/hotplug-status`, "error");
      await guest.write(6);
      await w.detach();
    });

    test("… while no daemon runs, too", async () => {
      const w = await world();
      const guest = await w.connected();
      await guest.ask(EXTEND_PCR_16);
      const pcr = await guest.ask(READ_PCR_16);
      const server = (await w.pidOf("server"))!;
      w.killDaemon();
      process.kill(server, "SIGKILL");
      await until(async () => await w.pidOf("server") === undefined, () => "it runs");
      await w.startDaemon();
      const isNew = async () => ![undefined, server].includes(await w.pidOf("server"));
      await until(isNew, () => w.log.join(""));
      expect(await guest.ask(READ_PCR_16)).toBe(pcr);
      await w.detach();
    });

    test("a command under way when it is detached is answered at once", async () => {
      const w = await world();
      const guest = await w.connected();
      const swtpm = (await w.pidOf("swtpm"))!;
      process.kill(swtpm, "SIGSTOP");
      guest.submit(RANDOM);
      const removed = w.toolstack().remove(w.spec(w.device()));
      const start = performance.now();
      expect(await guest.given()).toBe(IDLE);
      expect(performance.now() - start).toBeLessThan(2_000);
      await guest.write(6);
      // Its own limits are those of a test.
      await removed.catch(() => {});
      await w.gone(w.device());
      // Also where swtpm never comes back.
      expect(performance.now() - start).toBeLessThan(5_000);
      expect(() => process.kill(swtpm, 0)).toThrow();
    });

    test("a cancelled command ends", async () => {
      const w = await world();
      const guest = await w.connected();
      guest.submit(CREATE_PRIMARY);
      guest.grant.memory.write8(4, CANCEL);
      guest.port.notify();
      expect([IDLE, FINISH]).toContain(await guest.given());
      expect(codeOf(await guest.ask(RANDOM))).toBe(SUCCESS);
    });
  });

  describe("what cannot be", () => {
    async function fails(w: VtpmWorld, uuid: string, message: RegExp, id = w.device()) {
      await w.attach(id, { uuid }).catch(() => {});
      const path = `${backendPath(id)}/hotplug-error`;
      await until(async () => await w.dom0.exists(path), () => w.log.join(""));
      expect(await w.dom0.readOptional(path)).toMatch(message);
    }

    test("one uuid twice", async () => {
      const w = await world();
      await w.connected();
      await fails(w, UUID.toUpperCase(), /vTPM 01234567.* is in use by vtpm\/7\/0/, w.device(1));
      expect(await w.dom0.readOptional(`${backendPath(w.device(1))}/hotplug-status`)).toBe("busy");
    });

    test.each([
      ["no uuid", {}, "web", /uuid is "web"; expected one such as/],
      ["an unknown one", { create: "never" }, UUID, /there is no vTPM 0123.* create .* is "never"/],
      [
        "no swtpm",
        { binary: "/nowhere/swtpm" },
        UUID,
        /\/nowhere\/swtpm does not exist: install it/,
      ],
      ["no sense", { version: "3.0" }, UUID, /setting version of plugin vtpm is "3.0"; expected/],
      ["no locality", { localities: ["7"] }, UUID, /setting localities of plugin vtpm is \["7"\]/],
      ["no user", { user: "nobody-here" }, UUID, /nobody-here/],
    ])("%s", async (_, settings, uuid, message) => {
      const w = await world(settings as VtpmWorld["settings"]);
      await fails(w, uuid, message);
      expect(w.kept.list().length).toBeLessThan(2);
      if (w.kept.list().length > 0) expect(w.kept.use(UUID)?.by ?? null).toBeNull();
    });

    test("one that listens and never answers: told so, and nothing is left of it", async () => {
      const w = new VtpmWorld();
      worlds.push(w);
      const binary = `${w.directory}/swtpm`;
      const ended = `${w.directory}/ended`;
      const program = `#!${process.execPath}
        const paths = process.argv.join(" ").matchAll(/type=unixio,path=([^,]*)/g);
        for (const [, unix] of paths) Bun.listen({ unix, socket: { data() {} } });
        process.on("SIGTERM", () => { require("fs").writeFileSync("${ended}", ""); process.exit(0); });
      `;
      writeFileSync(binary, program, { mode: 0o755 });
      w.settings = { binary, user: "root" };
      await w.start();
      await fails(w, UUID, /swtpm does not answer in \d s/);
      await until(() => existsSync(ended), () => w.log.join(""));
      await until(() => (w.kept.use(UUID)?.by ?? null) === null, () => w.log.join(""));
    });

    test("state that is damaged, and a key that is not its key", async () => {
      const w = await world({ user: "nobody" });
      await (await w.connected()).ask(RANDOM);
      await w.detach();
      const state = `${w.kept.path(UUID)}/tpm2-00.permall`;
      const good = readFileSync(state);
      writeFileSync(state, Buffer.from(good).fill(0x5a, 16));
      await fails(w, UUID, /vTPM|swtpm.*: its state is corrupt \(/);
      expect(readFileSync(state).length).toBe(good.length);
      await w.detach();
      writeFileSync(state, good);
      const key = `${w.directory}/key`;
      writeFileSync(key, "0123456789abcdef".repeat(4), { mode: 0o644 });
      w.kept.create(OTHER, { version: "2.0\n", "key-file": `${key}\n` });
      await (await w.connected(OTHER)).ask(RANDOM);
      await w.detach();
      expect(readFileSync(`${w.kept.path(OTHER)}/tpm2-00.permall`).includes("secret")).toBe(false);
      writeFileSync(key, "f".repeat(64));
      await fails(w, OTHER, /encrypted with another key, or with none \(/);
      await w.detach();
      writeFileSync(`${w.kept.path(OTHER)}/version`, "9\n");
      await fails(w, OTHER, /is damaged: its file version says "9"; expected 2\.0 or 1\.2/);
    });

    test("where nothing can be kept, and where a command works on it", async () => {
      const w = await world();
      const cannot = /^the state of vTPM 0123.* cannot be used: E[^;]*\(it needs a disk that can/;
      writeFileSync(`${w.directory}/state`, "");
      await fails(w, UUID, cannot);
      await w.detach();
      rmSync(`${w.directory}/state`);
      // There nobody can make anything.
      symlinkSync("/proc/self/fdinfo", `${w.directory}/state`);
      await fails(w, UUID, cannot);
      await w.detach();
      rmSync(`${w.directory}/state`);
      expect(w.log.join("")).not.toMatch(/is tried again/);
      w.kept.create(UUID, { version: "2.0\n" });
      const path = w.kept.path(UUID)!;
      const lock = Bun.spawn(["flock", path, "sleep", "60"], { stderr: "inherit" });
      await until(async () => {
        const { exitCode } = Bun.spawnSync(["flock", "-n", path, "true"]);
        return exitCode !== 0;
      }, () => "it was never locked");
      await fails(w, UUID, /^vTPM 0123.*: a command works on /);
      expect(await w.dom0.readOptional(`${backendPath(w.device())}/hotplug-status`)).toBe("busy");
      lock.kill();
      await lock.exited;
    });

    test("an encrypted one has to have a user who may read its key", async () => {
      const w = await world();
      w.kept.create(OTHER, { version: "2.0\n", "key-file": "/root/key\n" });
      await fails(w, OTHER, /is encrypted: swtpm must be able to read \/root\/key/);
    });
  });
}
