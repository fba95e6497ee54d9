/** Debian's kernel, and modules of it in an archive: downloaded, unpacked, never installed. */
import * as fs from "node:fs";
import { join } from "node:path";
import { command, commandText } from "./command.ts";
import type { Archive } from "./cpio.ts";
import { ImageError } from "./image_error.ts";

/** A kernel package as apt would fetch it. */
export interface KernelPackage {
  readonly name: string;
  readonly version: string;
}

/** An unpacked kernel. */
export interface Kernel {
  /** The ELF image: Xen and xl take it as it is, nothing has to be decompressed in emulation. */
  readonly image: string;
  /** The same as Debian ships it. */
  readonly packed: string;
  /** `lib/modules/<release>`, with `modules.dep`. */
  readonly modules: string;
  readonly release: string;
}

/**
 * The kernel that Debian's `linux-image-amd64` stands for now.
 * @throws ImageError if apt has no lists
 */
export function kernelPackage(): KernelPackage {
  const depends = commandText("apt-cache", ["depends", "linux-image-amd64"], { accept: [100] });
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) {
    throw new ImageError("apt knows no linux-image-amd64 (as root: apt-get update)");
  }
  const shown = commandText("apt-cache", ["show", "--no-all-versions", name]);
  const version = /^Version: (\S+)/m.exec(shown)?.[1];
  if (version === undefined) throw new ImageError(`apt knows no version of ${name}`);
  return { name, version };
}

/** Unpacks the kernel into a directory, unless it is there already. */
export function unpackKernel(
  { name, version }: KernelPackage,
  directory: string,
  say: (text: string) => void,
): Kernel {
  const done = join(directory, "complete");
  const image = join(directory, "vmlinux");
  if (!fs.existsSync(done)) {
    say(`fetching ${name} ${version}`);
    fs.rmSync(directory, { recursive: true, force: true });
    fs.mkdirSync(directory, { recursive: true });
    command("apt-get", ["download", `${name}=${version}`], { cwd: directory });
    const packed = fs.readdirSync(directory).find((file) => file.endsWith(".deb"));
    if (packed === undefined) throw new ImageError(`apt-get download ${name} left no file`);
    command("dpkg-deb", ["-x", packed, "."], { cwd: directory });
    const release = releaseIn(directory);
    fs.writeFileSync(image, decompress(join(directory, "boot", `vmlinuz-${release}`)));
    command("depmod", ["-b", directory, release]);
    fs.rmSync(join(directory, packed));
    fs.writeFileSync(done, "");
  }
  const release = releaseIn(directory);
  return {
    image,
    packed: join(directory, "boot", `vmlinuz-${release}`),
    modules: join(directory, "lib", "modules", release),
    release,
  };
}

function releaseIn(directory: string): string {
  const [release] = fs.readdirSync(join(directory, "lib", "modules"));
  if (release === undefined) throw new ImageError(`${directory} holds no kernel modules`);
  return release;
}

/** The ELF image in a bzImage: an xz stream somewhere in it, with something after its end. */
function decompress(vmlinuz: string): Uint8Array {
  const packed = fs.readFileSync(vmlinuz);
  const start = packed.indexOf(new Uint8Array([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]));
  if (start < 0) throw new ImageError(`${vmlinuz} holds no xz stream`);
  // Status 1: what follows the stream is no xz data.
  const image = command("xz", ["-dcq"], { input: packed.subarray(start), accept: [1, 2] });
  const magic = String.fromCharCode(...image.subarray(1, 4));
  if (magic !== "ELF") throw new ImageError(`${vmlinuz} does not hold an ELF image`);
  return image;
}

/**
 * Adds modules with what they depend on, and the list to insert, in order.
 * @param list where that is to be
 * @param wanted name and arguments, e.g. `brd rd_nr=4`; what is built in is left out
 * @throws ImageError when the kernel has no such module
 */
export function addModules(
  archive: Archive,
  kernel: Pick<Kernel, "modules" | "release">,
  list: string,
  wanted: readonly string[],
): void {
  const dependencies = new Map<string, string[]>();
  for (const line of fs.readFileSync(join(kernel.modules, "modules.dep"), "utf8").split("\n")) {
    const [path, needs] = line.split(":");
    if (path && needs !== undefined) {
      dependencies.set(path, needs.trim().split(" ").filter(Boolean));
    }
  }
  const byName = new Map([...dependencies.keys()].map((path) => [nameOf(path), path]));
  const builtIn = new Set(
    fs.readFileSync(join(kernel.modules, "modules.builtin"), "utf8").split("\n").map(nameOf),
  );
  const order = new Map<string, string>();
  for (const line of wanted) {
    const [name = "", ...args] = line.split(" ");
    const path = byName.get(name.replaceAll("-", "_"));
    if (path === undefined) {
      if (builtIn.has(name.replaceAll("-", "_"))) continue;
      throw new ImageError(`${kernel.modules} has no module ${name}`);
    }
    // modules.dep lists what is needed nearest first.
    for (const needed of [...dependencies.get(path) ?? []].reverse()) {
      if (!order.has(needed)) order.set(needed, "");
    }
    if (!order.has(path)) order.set(path, args.join(" "));
  }
  const root = `usr/lib/modules/${kernel.release}`;
  for (const path of order.keys()) {
    archive.addFile(`${root}/${path}`, join(kernel.modules, path), 0o644);
  }
  const lines = [...order].map(([path, args]) => `/${root}/${path} ${args}`.trim());
  archive.addText(list, lines.join("\n") + "\n");
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.ko(\.\w+)?$/, "").replaceAll("-", "_");
}
