/** What the file systems of two driver domains weigh, side by side, as a table for the README. */
import { constants, zstdCompressSync } from "node:zlib";
import type { Archive } from "../image/cpio.ts";

/** As Debian's initramfs-tools compress (COMPRESSLEVEL of mkinitramfs). */
const zstdLevel = 9;

/** Weights of one archive, in bytes. */
export interface Weight {
  readonly files: number;
  readonly unpacked: number;
  readonly compressed: number;
  readonly parts: ReadonlyMap<string, number>;
}

/** Compresses an archive. */
export function compress(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: zstdLevel } });
}

/** Names of parts, in the table's order, and which paths are theirs; the first that fits. */
const parts: readonly [string, RegExp][] = [
  ["kernel modules", /^usr\/lib\/modules\//],
  ["busybox", /^usr\/bin\/busybox$/],
  ["`xdevd`", /\/xdevd$/],
  ["`xl`", /\/xl$/],
  ["hotplug scripts", /^etc\/xen\/scripts\//],
  ["bash and other programs of the scripts", /^usr\/s?bin\/(?!poweroff$)/],
  ["libraries", /^usr\/lib/],
  ["init and the rest", /./],
];

/** Weighs an archive and what is in it. */
export function weigh(archive: Archive, bytes: Uint8Array, compressed: Uint8Array): Weight {
  const sums = new Map<string, number>();
  let files = 0;
  for (const { path, size } of archive.files()) {
    const [part] = parts.find(([, pattern]) => pattern.test(path))!;
    sums.set(part, (sums.get(part) ?? 0) + size);
    files++;
  }
  return { files, unpacked: bytes.length, compressed: compressed.length, parts: sums };
}

/** The table: lines of Markdown. */
export function costTable(ours: Weight, stock: Weight): string[] {
  const row = (what: string, of: (weight: Weight) => string) =>
    `| ${what} | ${of(ours)} | ${of(stock)} |`;
  return [
    "| a driver domain's initramfs | with xdevd | with `xl devd` |",
    "| --- | --: | --: |",
    row("compressed (`zstd -9`)", ({ compressed }) => megabytes(compressed)),
    row("unpacked", ({ unpacked }) => megabytes(unpacked)),
    ...parts.map(([name]) => row(`… ${name}`, ({ parts }) => megabytes(parts.get(name)))),
    row("files", ({ files }) => String(files)),
  ];
}

function megabytes(bytes: number | undefined): string {
  if (bytes === undefined) return "–";
  return bytes < 100_000 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const begin = "<!-- npm run minimal-domain -- --readme writes this table -->";
const end = "<!-- end of the table -->";

/** The text with the table in its place. @throws Error when it has no such place */
export function withTable(text: string, table: readonly string[]): string {
  const from = text.indexOf(begin), to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`no place for the table: "${begin}" … "${end}"`);
  return `${text.slice(0, from + begin.length)}\n\n${table.join("\n")}\n\n${text.slice(to)}`;
}
