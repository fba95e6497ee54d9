/** Block devices in a made-up machine's /sys and /dev: disks, partitions, loop devices, tables. */
import { identityOfNumber } from "../../backends/vbd/stack.ts";
import type { FakeMachine } from "./fake_device.ts";

/** A block device, or a file. */
export interface Thing {
  readonly path: string;
  readonly identity: string;
  /** `major:minor`; empty for a file. */
  readonly number: string;
}

/** Where a part begins and ends, in bytes; without `size` at the end of what it is in. */
export interface Part {
  readonly start: number;
  readonly size?: number;
}

/** What there is. */
export class FakeSysfs {
  readonly #machine: FakeMachine;
  #count = 0;

  constructor(machine: FakeMachine) {
    this.#machine = machine;
  }

  file(path = `/images/${++this.#count}`): Thing {
    const identity = `64769:${++this.#count}`;
    this.#machine.files.set(path, "");
    this.#machine.identities.set(path, identity);
    return { path, identity, number: "" };
  }

  disk(path = `/dev/sd${++this.#count}`): Thing {
    return this.#device(8, path, {});
  }

  /** @param part in multiples of 512 */
  partition(disk: Thing, { start, size = 512 }: Part): Thing {
    return this.#device(259, `${disk.path}p${++this.#count}`, {
      partition: "1",
      start: String(start / 512),
      size: String(size / 512),
      "../dev": disk.number,
    });
  }

  loop(file: Thing, { start, size = 0 }: Part = { start: 0 }): Thing {
    return this.#device(7, `/dev/loop${++this.#count}`, {
      "loop/backing_file": file.path,
      "loop/offset": String(start),
      "loop/sizelimit": String(size),
    });
  }

  /** A device mapper table. */
  table(slaves: readonly Thing[], uuid = "LVM-x"): Thing {
    const files = slaves.map(({ number }, index) => [`slaves/s${index}/dev`, number]);
    return this.#device(253, `/dev/mapper/m${++this.#count}`, {
      "dm/uuid": uuid,
      ...Object.fromEntries(files),
    });
  }

  /** @param options as of a file system that is mounted, `ro` or `rw` */
  mount({ path, number }: Thing, options = "rw", point = "/mnt"): void {
    const before = this.#machine.files.get("/proc/self/mountinfo") ?? "";
    const line = `30 22 ${number || "0:42"} / ${point} ${options} - ext4 ${path} ${options}\n`;
    this.#machine.files.set("/proc/self/mountinfo", before + line);
  }

  swapOn({ path }: Thing): void {
    const titles = "Filename\tType\tSize\tUsed\tPriority\n";
    this.#machine.files.set("/proc/swaps", `${titles}${path}   partition\t1\t0\t-2\n`);
  }

  #device(major: number, path: string, files: Record<string, string>): Thing {
    const minor = ++this.#count;
    const number = `${major}:${minor}`;
    const identity = identityOfNumber(major, minor);
    this.#machine.files.set(path, "");
    this.#machine.identities.set(path, identity);
    for (const [name, text] of Object.entries({ dev: number, ...files })) {
      this.#machine.files.set(`/sys/dev/block/${number}/${name}`, `${text}\n`);
    }
    return { path, identity, number };
  }
}
