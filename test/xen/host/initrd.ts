/** What QEMU boots: dom0's file system, with the other domains' kernels and file systems in it. */
import * as fs from "node:fs";
import { join } from "node:path";
import { Archive, type Content } from "../../../compile/image/cpio.ts";
import type { Images } from "./images.ts";
import { addResolved, librariesOf } from "../../../compile/image/programs.ts";

/** What is under test in a driver domain. */
export interface Side {
  readonly name: "xdevd" | "full" | "xl";
  /** Of its driver domain, in MiB. */
  readonly memory: number;
  /** The compiled daemon, and what it is called in `/lab`; none: the stock one. */
  readonly daemons: Readonly<Record<string, string>>;
}

/** All that differs from run to run. */
export interface Boot {
  readonly sides: readonly Side[];
  /** `/lab/plan`, see domains/dom0/main. */
  readonly plan: string;
  /** Our small binary, for dom0. */
  readonly toolstack: string;
  /** How much our daemons log. */
  readonly logLevel: "info" | "debug";
  /** Images of minimal driver domains, by name. */
  readonly minimal?: Readonly<Record<string, string>>;
}

/** Writes the first file system of dom0. */
export function writeInitrd(lab: string, images: Images, boot: Boot, file: string): void {
  const archive = new Archive();
  addDomain(archive, lab, "dom0");
  addTree(archive, join(lab, "scenarios"), "lab/scenarios");
  addTree(archive, join(lab, "bench"), "lab/bench");
  archive.addText("lab/plan", boot.plan);
  addDaemon(archive, "xdevd", boot.toolstack);
  archive.addFile("lab/vmlinux", images.kernel, 0o644);
  addImage(archive, "guest.img", images.guest, { bytes: guestPart(lab) });
  for (const side of boot.sides) {
    const part = driverPart(lab, side, boot);
    addImage(archive, `driver-${side.name}.img`, images.driver, { bytes: part.toBytes() });
  }
  for (const [name, image] of Object.entries(boot.minimal ?? {})) {
    archive.addFile(`lab/${name}.img`, image, 0o644);
  }
  const own = `${file}.part`;
  archive.writeTo(own);
  fs.copyFileSync(images.dom0, file);
  fs.appendFileSync(file, fs.readFileSync(own));
  fs.rmSync(own);
}

function addImage(archive: Archive, name: string, base: string, own: Content): void {
  const content = { parts: [{ file: base }, own] };
  archive.set(`lab/${name}`, { type: "file", mode: 0o644, content });
}

function guestPart(lab: string): Uint8Array {
  const archive = new Archive();
  addDomain(archive, lab, "guest");
  archive.addFile("usr/sbin/poweroff", join(lab, "domains", "guest", "poweroff"), 0o755);
  return archive.toBytes();
}

function driverPart(lab: string, { daemons }: Side, { logLevel }: Boot): Archive {
  const archive = new Archive();
  addDomain(archive, lab, "driver");
  addTree(archive, join(lab, "domains", "driver", "scripts"), "etc/xen/scripts");
  for (const [name, daemon] of Object.entries(daemons)) addDaemon(archive, name, daemon);
  archive.addText("lab/log-level", logLevel);
  return archive;
}

function addDaemon(archive: Archive, name: string, daemon: string): void {
  archive.addFile(`lab/${name}`, daemon, 0o755);
  for (const library of librariesOf(daemon)) addResolved(archive, library);
}

/** The scripts of a kind of domain. */
function addDomain(archive: Archive, lab: string, kind: string): void {
  archive.addFile("init", join(lab, "domains", "common", "init"), 0o755);
  addTree(archive, join(lab, "domains", kind), "lab");
}

function addTree(archive: Archive, from: string, to: string): void {
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const path = join(from, entry.name);
    if (entry.isDirectory()) addTree(archive, path, `${to}/${entry.name}`);
    else archive.addFile(`${to}/${entry.name}`, path, 0o755);
  }
}
