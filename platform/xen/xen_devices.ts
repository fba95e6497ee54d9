/** This machine's grants and event channels: `/dev/xen/gntdev` and `/dev/xen/evtchn`. */
import { GuestMemory } from "../../contract/v2/memory.ts";
import { readAll } from "../io/descriptor.ts";
import { closeFile, O_CLOEXEC, O_NONBLOCK, O_RDWR, openFile } from "../io/file_calls.ts";
import { sys as kernel } from "../kernel.ts";
import { sources } from "../runtime.ts";
import type { DescriptorReader } from "../sources.ts";
import type { Sys } from "../sys.ts";
import { errnoName, must, systemError } from "../system_error.ts";
import { type Mapping, PAGE, type Port, type UnmapNotice, type XenDevices } from "./devices.ts";
import { PortState } from "./port_state.ts";

// xen/gntdev.h
const MAP_GRANT_REF = 0x0018_4700;
const UNMAP_GRANT_REF = 0x0010_4701;
const SET_UNMAP_NOTIFY = 0x0010_4707;
const [UNMAP_NOTIFY_CLEAR_BYTE, UNMAP_NOTIFY_SEND_EVENT] = [1, 2];

// xen/evtchn.h
const BIND_INTERDOMAIN = 0x0008_4501;
const UNBIND = 0x0004_4503;
const NOTIFY = 0x0004_4504;
const RESTRICT_DOMID = 0x0002_4506;

// sys/mman.h
const [PROT_READ, PROT_WRITE] = [1, 2];

/** What it is made on; another kernel in tests. */
export interface XenKernel {
  readonly sys: Pick<Sys, "ioctl" | "map" | "unmap" | "write" | "grantCopy">;
  open(path: string): number;
  close(fd: number): void;
  openReader(fd: number): DescriptorReader;
}

const machine: XenKernel = {
  sys: kernel,
  open: (path) => openFile(path, O_RDWR | O_CLOEXEC | O_NONBLOCK),
  close: closeFile,
  openReader: (fd) => sources.openReader(fd),
};

/**
 * Opens both devices; what is needed afterwards needs no rights.
 * @throws SystemError (ENOENT without Xen or its modules xen-gntdev and xen-evtchn, EACCES, …)
 */
export function openXenDevices({ sys, open, close, openReader }: XenKernel = machine): XenDevices {
  const grants = open("/dev/xen/gntdev");
  let events: number;
  try {
    events = open("/dev/xen/evtchn");
  } catch (error) {
    close(grants);
    throw error;
  }
  const mapped = new Set<() => void>();
  const ports = new Map<number, PortState>();
  const reader = openReader(events);
  let isOpen = true;
  readAll(reader, (chunk) => {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at + 4 <= chunk.length; at += 4) {
      ports.get(view.getUint32(at, true))?.happened();
    }
  }).catch((error) => {
    // Then no event will ever come: whoever waits learns that it is over.
    for (const port of ports.values()) port.unbind();
    failure = error as Error;
  });
  let failure: Error | null = null;
  const control = (what: string, fd: number, request: number, words: Uint32Array): number =>
    must(() => sys.ioctl(fd, request, new Uint8Array(words.buffer)), what);

  const release = (index: number, count: number) => {
    sys.ioctl(grants, UNMAP_GRANT_REF, new Uint8Array(indexed(index, count, 0).buffer));
  };

  const map = (
    domid: number,
    references: readonly number[],
    access: "read" | "write",
    notice?: UnmapNotice,
  ): Mapping => {
    const count = references.length;
    const what = `mapping grants ${references.join(", ")} of domain ${domid}`;
    const asked = new Uint32Array([
      ...[count, 0, 0, 0],
      ...references.flatMap((reference) => [domid, reference]),
    ]);
    control(what, grants, MAP_GRANT_REF, asked);
    const index = asked[2]! + asked[3]! * 2 ** 32;
    const protection = access === "write" ? PROT_READ | PROT_WRITE : PROT_READ;
    const buffer = sys.map(grants, count * PAGE, protection, index);
    if (typeof buffer === "number") {
      release(index, count);
      const code = errnoName(-buffer);
      throw systemError(code, `${what}: ${code} (it has not granted them, or not for this)`);
    }
    const memory = new GuestMemory(buffer, access);
    const unmap = () => {
      if (!mapped.delete(unmap)) return;
      sys.unmap(buffer);
      release(index, count);
    };
    mapped.add(unmap);
    if (notice !== undefined) {
      const { clear, port } = notice;
      const action = UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT;
      try {
        control(what, grants, SET_UNMAP_NOTIFY, indexed(index + clear, action, port));
      } catch (error) {
        unmap();
        throw error;
      }
    }
    return { memory, unmap };
  };

  const copy = (
    domid: number,
    reference: number,
    offset: number,
    bytes: Uint8Array,
    toGuest: boolean,
  ) => {
    if (bytes.length === 0) return;
    const what = `copying ${toGuest ? "to" : "from"} grant ${reference} of domain ${domid}`;
    must(() => sys.grantCopy(grants, domid, reference, offset, bytes, toGuest ? 1 : 0), what);
  };

  const bind = (domid: number, remote: number): Port => {
    if (failure !== null) throw failure;
    const what = `event channel ${remote} of domain ${domid}`;
    const number = control(what, events, BIND_INTERDOMAIN, Uint32Array.of(domid, remote));
    const word = Uint32Array.of(number);
    const bytes = new Uint8Array(word.buffer);
    const port = new PortState(number, {
      // The device takes the numbers of ports that may be told again.
      unmask: () => void sys.write(events, bytes),
      notify: () => void sys.ioctl(events, NOTIFY, bytes),
      unbind() {
        ports.delete(number);
        sys.ioctl(events, UNBIND, bytes);
      },
    });
    ports.set(number, port);
    return port;
  };

  return {
    map,
    copyFrom: (domid, reference, offset, to) => copy(domid, reference, offset, to, false),
    copyTo: (domid, reference, offset, from) => copy(domid, reference, offset, from, true),
    restrict(domid) {
      const word = new Uint8Array(Uint16Array.of(domid).buffer);
      must(
        () => sys.ioctl(events, RESTRICT_DOMID, word),
        `event channels of domain ${domid} alone`,
      );
    },
    bind,
    close() {
      if (!isOpen) return;
      isOpen = false;
      for (const unmap of [...mapped]) unmap();
      for (const port of [...ports.values()]) port.unbind();
      close(grants);
      reader.cancel().catch(() => {}).finally(() => close(events));
    },
  };
}

/** A structure of an index of 64 bits and two words (ioctl_gntdev_unmap_notify, …_unmap_grant_ref). */
function indexed(index: number, first: number, second: number): Uint32Array {
  return Uint32Array.of(index % 2 ** 32, Math.floor(index / 2 ** 32), first, second);
}
