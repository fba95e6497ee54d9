/**
 * Debian's xl and our commands on one store: each lists and detaches what the other has attached. The
 * driver domain is played by hand.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { runProgram } from "../support/daemon_process.ts";
import { requireReal } from "./requirements.ts";
import { XlToolstack } from "./xl_toolstack.ts";

/** Of one test, with several commands each. */
setDefaultTimeout(60_000);

const XVDA = 51712;
const NEEDS = {
  packages: ["xen-utils-4.17", "libxen-dev", "gcc", "libc6-dev"],
  root: true,
};

if (requireReal("xl and our commands", NEEDS)) {
  describe("xl and our commands", () => {
    let xl: XlToolstack;

    beforeAll(async () => {
      xl = await XlToolstack.start();
    });

    afterAll(() => xl.stop());

    const backend = (kind: string, devid: number) => `/local/domain/1/backend/${kind}/7/${devid}`;

    async function ours(command: string, ...args: string[]): Promise<string> {
      const run = runProgram([command, "--store", xl.socketPath(0), ...args]);
      const { code, stdout, stderr } = await run;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return stdout;
    }

    /** The guest lets go, and the driver domain's daemon deletes its directory. */
    async function letGo(path: string): Promise<void> {
      await xl.dom0.waitUntil(`${path}/state`, (state) => state === "5", { timeoutMs: 5_000 });
      await xl.dom0.write(`${path}/state`, "6");
      await new Promise((resolve) => setTimeout(resolve, 300));
      await xl.dom0.remove(path);
    }

    /** What a guest's driver writes. */
    async function connect(kind: string, devid: number): Promise<void> {
      const frontend = `/local/domain/7/device/${kind}/${devid}`;
      const rings = kind === "vif" ? ["tx-ring-ref", "rx-ring-ref"] : ["ring-ref"];
      for (const [index, name] of rings.entries()) {
        await xl.dom0.write(`${frontend}/${name}`, String(8 + index));
      }
      await xl.dom0.write(`${frontend}/event-channel`, "15");
      await xl.dom0.write(`${frontend}/state`, "4");
    }

    const disk = ["7", "format=raw,vdev=xvda,access=rw,backend=1,target=/dev/vg/x"] as const;
    const nic = ["7", "mac=00:16:3e:01:02:03", "backend=1"] as const;

    test("what we attach, xl lists as we do, and detaches", async () => {
      await ours("block-attach", ...disk, "--wait", "created");
      await ours("network-attach", ...nic, "--wait", "created");
      await ours(
        ...["vtpm-attach", "7", "backend=1,uuid=01234567-89ab-cdef-0123-456789abcdef"] as const,
        ...["--wait", "created"],
      );
      await connect("vbd", XVDA);
      await connect("vif", 0);
      await connect("vtpm", 0);
      for (const list of ["block-list", "network-list", "vtpm-list"]) {
        const { status, stdout } = await xl.run([list, "7"]);
        expect(status).toBe(0);
        expect(stdout.split("\n")).toHaveLength(3);
        expect(await ours(list, "7")).toBe(stdout);
      }
      for (
        const [command, kind, devid] of [["block", "vbd", XVDA], ["network", "vif", 0]] as const
      ) {
        const path = backend(kind, devid);
        const { status, stderr } = await xl.run(
          [`${command}-detach`, "7", String(devid)],
          () => letGo(path),
        );
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      }
      await xl.clear();
      expect(await xl.tree()).toEqual([]);
    });

    test("what xl attaches, we list and detach", async () => {
      await xl.attach("pv", ["block-attach", disk[1]], backend("vbd", XVDA));
      await xl.attach("pv", ["network-attach", ...nic.slice(1)], backend("vif", 0));
      expect(JSON.parse(await ours("list", "7", "--json"))).toHaveLength(2);
      await Promise.all([ours("block-detach", "7", "xvda"), letGo(backend("vbd", XVDA))]);
      await Promise.all([
        ours("network-detach", "7", "00:16:3e:01:02:03"),
        letGo(backend("vif", 0)),
      ]);
      const uuid = "01234567-89AB-cdef-0123-456789abcdef";
      await xl.attach("pv", ["vtpm-attach", "backend=1", `uuid=${uuid}`], backend("vtpm", 0));
      const other = await runProgram([
        ...["vtpm-detach", "--store", xl.socketPath(0), "7", uuid.replace("0", "f")],
      ]);
      expect([other.code, other.stderr]).toEqual([
        10,
        expect.stringContaining("has no vTPM f1234567-89AB"),
      ]);
      const odd = await runProgram(["vtpm-detach", "--store", xl.socketPath(0), "7", "web"]);
      expect([odd.code, odd.stderr]).toEqual([2, expect.stringContaining("or a uuid")]);
      await Promise.all([ours("vtpm-detach", "7", uuid), letGo(backend("vtpm", 0))]);
      expect(await xl.tree()).toEqual([]);
    });
  });
}
