/**
 * Grants and event channels without Xen: a guest and its backend share files and sockets in a directory,
 * be they in one process or in two. Grant `FIRST` of `PAGES` pages is the file
 * `grant-DOMID-FIRST-PAGES-ACCESS`, port `PORT` the socket `port-DOMID-PORT`; a byte on it is an event.
 */
import { GuestMemory } from "../../contract/v2/memory.ts";
import {
  closeFile,
  exists,
  list,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  openFile,
  removeAll,
} from "../../platform/io/file_calls.ts";
import { listenUnix } from "../../platform/io/listener.ts";
import { connectStream } from "../../platform/io/stream.ts";
import { sys } from "../../platform/kernel.ts";
import { errnoName, must, systemError } from "../../platform/system_error.ts";
import type { ByteStream, Listener } from "../../platform/types.ts";
import { type Mapping, PAGE, type Port, type XenDevices } from "../../platform/xen/devices.ts";
import { PortState } from "../../platform/xen/port_state.ts";

/** A server has become another user by then; the directory is as private as it is to be. */
const SHARED = 0o666;

// sys/mman.h
const [PROT_READ, PROT_WRITE] = [1, 2];

/** A grant's file, mapped. @throws SystemError */
function mapFile(path: string, size: number, offset: number, access: "read" | "write"): Mapping {
  const fd = openFile(path, access === "write" ? O_RDWR : O_RDONLY);
  try {
    const protection = access === "write" ? PROT_READ | PROT_WRITE : PROT_READ;
    const buffer = sys.map(fd, size, protection, offset);
    if (typeof buffer === "number") throw systemError(errnoName(-buffer), `map ${path}`);
    let isMapped = true;
    const unmap = () => {
      if (isMapped) sys.unmap(buffer);
      isMapped = false;
    };
    return { memory: new GuestMemory(buffer, access), unmap };
  } finally {
    closeFile(fd);
  }
}

/** The backend's side. @param directory that the guests share, too */
export function simulatedXen(directory: string): XenDevices {
  const open = new Set<() => void>();
  let only: number | null = null;
  let lastPort = 0;
  const map: XenDevices["map"] = (domid, references, access, notice) => {
    const [first = -1] = references;
    const found = list(directory).map((name) => /^grant-(\d+)-(\d+)-(\d+)-(read|write)$/.exec(name))
      .find((match) =>
        match !== null && Number(match[1]) === domid && Number(match[2]) <= first &&
        first < Number(match[2]) + Number(match[3])
      );
    const isRow = references.every((reference, index) => reference === first + index);
    const end = found ? Number(found[2]) + Number(found[3]) : 0;
    if (!found || !isRow || first + references.length > end) {
      throw systemError(
        "EINVAL",
        `domain ${domid} has not granted ${references.join(", ")} in a row`,
      );
    }
    if (access === "write" && found[4] === "read") {
      throw systemError("EACCES", `domain ${domid} has granted ${first} for reading only`);
    }
    const offset = (first - Number(found[2])) * PAGE;
    const mapping = mapFile(`${directory}/${found[0]}`, references.length * PAGE, offset, access);
    const unmap = () => {
      if (!open.delete(unmap)) return;
      if (notice !== undefined) {
        mapping.memory.write8(notice.clear, 0);
        ports.get(notice.port)?.notify();
      }
      mapping.unmap();
    };
    open.add(unmap);
    return { memory: mapping.memory, unmap };
  };
  const ports = new Map<number, Port>();
  const copy = (domid: number, reference: number, access: "read" | "write") =>
    map(domid, [reference], access);
  return {
    map,
    copyFrom(domid, reference, offset, to) {
      const { memory, unmap } = copy(domid, reference, "read");
      to.set(memory.read(offset, to.length));
      unmap();
    },
    copyTo(domid, reference, offset, from) {
      const { memory, unmap } = copy(domid, reference, "write");
      memory.write(offset, from);
      unmap();
    },
    restrict: (domid) => void (only = domid),
    bind(domid, remote) {
      if (only !== null && domid !== only) {
        throw systemError("EACCES", `restricted to domain ${only}`);
      }
      const path = `${directory}/port-${domid}-${remote}`;
      if (!exists(path)) {
        throw systemError("EINVAL", `domain ${domid} has no port ${remote} for us`);
      }
      const number = ++lastPort;
      const events = new Masked();
      let stream: ByteStream | null = null;
      let early = false;
      const port = new PortState(number, {
        unmask: () => events.unmask(),
        notify: () => stream === null ? early = true : stream.write(Uint8Array.of(1)),
        unbind() {
          open.delete(unbind);
          ports.delete(number);
          stream?.close();
        },
      });
      const unbind = () => port.unbind();
      events.deliver = () => port.happened();
      connectStream(path).then((connected) => {
        // Also what was sent just before the end.
        if (early) connected.write(Uint8Array.of(1));
        if (!open.has(unbind)) return connected.close();
        stream = connected;
        connected.start({ data: () => events.came(), closed: () => {} });
      }, () => {});
      open.add(unbind);
      ports.set(number, port);
      return port;
    },
    close: () => [...open].reverse().forEach((end) => end()),
  };
}

/** An event is told once, and then not before it is unmasked. */
class Masked {
  deliver: () => void = () => {};
  #masked = false;
  #pending = false;

  came(): void {
    if (this.#masked) return void (this.#pending = true);
    this.#masked = true;
    this.deliver();
  }

  unmask(): void {
    this.#masked = false;
    if (!this.#pending) return;
    this.#pending = false;
    this.came();
  }
}

/** A grant of a simulated guest's. */
export interface SimulatedGrant {
  readonly references: readonly number[];
  /** As the guest sees it. */
  readonly memory: GuestMemory;
}

/** A port of a simulated guest's. */
export interface SimulatedPort {
  readonly number: number;
  notify(): void;
  /** Resolves with the next event that was not waited for; several may come as one. */
  wait(): Promise<void>;
  /** How many bytes have come. */
  readonly received: number;
}

/** The guest's side. */
export class SimulatedGuest {
  readonly domid: number;
  readonly #directory: string;
  readonly #ends: (() => void)[] = [];
  #nextReference = 8;
  #nextPort = 1;

  constructor(directory: string, domid: number) {
    this.#directory = directory;
    this.domid = domid;
  }

  /** Grants new pages, all zeros. */
  grant(pages: number, access: "read" | "write" = "write"): SimulatedGrant {
    const first = this.#nextReference;
    this.#nextReference += pages + 1;
    const path = `${this.#directory}/grant-${this.domid}-${first}-${pages}-${access}`;
    const fd = openFile(path, O_RDWR | O_CREAT, SHARED);
    must(() => sys.fchmod(fd, SHARED), path);
    must(() => sys.ftruncate(fd, pages * PAGE), path);
    closeFile(fd);
    const { memory, unmap } = mapFile(path, pages * PAGE, 0, "write");
    this.#ends.push(() => {
      unmap();
      removeAll(path);
    });
    return { memory, references: Array.from({ length: pages }, (_, index) => first + index) };
  }

  /** Makes a port that the backend may bind. */
  async openPort(): Promise<SimulatedPort> {
    const number = this.#nextPort++;
    const streams = new Set<ByteStream>();
    let received = 0;
    let next = Promise.withResolvers<void>();
    const listener: Listener = await listenUnix(
      `${this.#directory}/port-${this.domid}-${number}`,
      (stream) => {
        streams.add(stream);
        // Whatever was sent before: Xen tells once in any case (evtchn_bind_interdomain).
        stream.write(Uint8Array.of(1));
        stream.start({
          data(chunk) {
            received += chunk.length;
            next.resolve();
          },
          closed: () => void streams.delete(stream),
        });
      },
      0,
    );
    this.#ends.push(() => {
      void listener.close();
      for (const stream of streams) stream.close();
    });
    return {
      number,
      notify: () => streams.forEach((stream) => stream.write(Uint8Array.of(1))),
      async wait() {
        await next.promise;
        next = Promise.withResolvers<void>();
      },
      get received() {
        return received;
      },
    };
  }

  /** Takes back all: it has died. */
  close(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}
