/** What the kernel's devices for grants and event channels are asked, by a kernel that writes it down. */
import { expect, test } from "bun:test";
import { openXenDevices, type XenKernel } from "../../platform/xen/xen_devices.ts";

/** Descriptors, and what bad things happen. */
const [GNTDEV, EVTCHN] = [50, 51];

function kernel({ mapFails = false, noEvtchn = false, noticeFails = false } = {}) {
  const calls: string[] = [];
  const chunks: ((chunk: { done: boolean; value?: Uint8Array }) => void)[] = [];
  const words = (bytes: Uint8Array) =>
    [...new Uint32Array(bytes.slice(0, bytes.length & ~3).buffer)].join(" ");
  const parts: XenKernel = {
    sys: {
      ioctl(fd, request, argument) {
        const bytes = argument as Uint8Array;
        const name = fd === GNTDEV ? "gntdev" : "evtchn";
        calls.push(`${name} ${request.toString(16)} ${bytes.length}: ${words(bytes)}`);
        if (request === 0x18_4700) new Uint32Array(bytes.buffer).set([0x7000, 1], 2);
        if (request === 0x10_4707 && noticeFails) return -22;
        return request === 0x8_4501 ? 33 : 0;
      },
      map(fd, size, protection, offset) {
        calls.push(`map ${fd} ${size} ${protection} ${offset.toString(16)}`);
        return mapFails ? -22 : new ArrayBuffer(size);
      },
      unmap(memory) {
        calls.push("unmap");
        memory.transfer(0);
        return 0;
      },
      write(fd, bytes) {
        calls.push(`write ${fd}: ${words(bytes)}`);
        return bytes.length;
      },
      grantCopy(fd, domid, reference, offset, bytes, toGuest) {
        calls.push(`copy ${[fd, domid, reference, offset, bytes.length, toGuest].join(" ")}`);
        return reference === 9 ? -14 : 0;
      },
    },
    open(path) {
      calls.push(`open ${path}`);
      if (path.endsWith("evtchn") && noEvtchn) throw new Error("ENOENT");
      return path.endsWith("evtchn") ? EVTCHN : GNTDEV;
    },
    close: (fd) => void calls.push(`close ${fd}`),
    openReader: () => ({
      read: () => new Promise((resolve) => chunks.push(resolve)),
      async cancel() {
        for (const end of chunks.splice(0)) end({ done: true });
      },
    }),
  };
  const tell = (...ports: number[]) =>
    chunks.shift()!({ done: false, value: new Uint8Array(Uint32Array.from(ports).buffer) });
  const taken = () => calls.splice(0);
  return { parts, taken, tell };
}

test("pages are mapped in one piece with a notice, and given back in the right order", () => {
  const { parts, taken } = kernel();
  const devices = openXenDevices(parts);
  expect(taken()).toEqual(["open /dev/xen/gntdev", "open /dev/xen/evtchn"]);
  const { memory, unmap } = devices.map(5, [8, 0xffff_ffff], "write", { clear: 4, port: 33 });
  expect(taken()).toEqual([
    "gntdev 184700 32: 2 0 0 0 5 8 5 4294967295",
    "map 50 8192 3 100007000",
    "gntdev 104707 16: 28676 1 3 33",
  ]);
  memory.write32(4092, 7);
  unmap();
  expect(taken()).toEqual(["unmap", "gntdev 104701 16: 28672 1 2 0"]);
  expect(() => memory.read8(0)).toThrow("not mapped");
  unmap();
  expect(taken()).toEqual([]);
});

test("what cannot be mapped, and what cannot have a notice, is given back", () => {
  const { parts, taken } = kernel({ mapFails: true });
  const devices = openXenDevices(parts);
  expect(() => devices.map(5, [8], "read")).toThrow("mapping grants 8 of domain 5: EINVAL");
  expect(taken().slice(3)).toEqual(["map 50 4096 1 100007000", "gntdev 104701 16: 28672 1 1 0"]);
  const other = kernel({ noticeFails: true });
  expect(() => openXenDevices(other.parts).map(5, [8], "write", { clear: 0, port: 1 })).toThrow(
    "EINVAL",
  );
  expect(other.taken().slice(-2)).toEqual(["unmap", "gntdev 104701 16: 28672 1 1 0"]);
});

test("events: told once, unmasked by writing the port back, and no more after the end", async () => {
  const { parts, taken, tell } = kernel();
  const devices = openXenDevices(parts);
  devices.restrict(5);
  const port = devices.bind(5, 12);
  expect(taken().slice(2)).toEqual(["evtchn 24506 2: ", "evtchn 84501 8: 5 12"]);
  expect(port.number).toBe(33);
  tell(99, 33);
  expect(await port.wait()).toBe(true);
  port.unmask();
  port.notify();
  expect(taken()).toEqual(["write 51: 33", "evtchn 44504 4: 33"]);
  const waiting = port.wait();
  port.unbind();
  expect(await waiting).toBe(false);
  port.notify();
  port.unmask();
  expect(taken()).toEqual(["evtchn 44503 4: 33"]);
  devices.close();
  await Promise.resolve().then(() => {}).then(() => {});
  expect(taken().sort()).toEqual(["close 50", "close 51"]);
});

test("the end unmaps and unbinds all that is left", () => {
  const { parts, taken } = kernel();
  const devices = openXenDevices(parts);
  const { memory } = devices.map(5, [8], "read");
  devices.bind(5, 12);
  taken();
  devices.close();
  expect(taken().slice(0, 3)).toEqual([
    "unmap",
    "gntdev 104701 16: 28672 1 1 0",
    "evtchn 44503 4: 33",
  ]);
  expect(memory.isMapped).toBe(false);
});

test("copies, and a device that is not there", () => {
  const { parts, taken } = kernel();
  const devices = openXenDevices(parts);
  taken();
  devices.copyFrom(5, 8, 100, new Uint8Array(20));
  devices.copyTo(5, 8, 0, new Uint8Array(4096));
  devices.copyTo(5, 8, 0, new Uint8Array(0));
  expect(taken()).toEqual(["copy 50 5 8 100 20 0", "copy 50 5 8 0 4096 1"]);
  expect(() => devices.copyFrom(5, 9, 0, new Uint8Array(1))).toThrow("grant 9 of domain 5");
  const without = kernel({ noEvtchn: true });
  expect(() => openXenDevices(without.parts)).toThrow("ENOENT");
  expect(without.taken().at(-1)).toBe("close 50");
});
