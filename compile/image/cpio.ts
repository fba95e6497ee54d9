/**
 * Archives in cpio's `newc` format, which the kernel unpacks as a domain's first file system. Written here rather than
 * by cpio(1): no directory tree on disk, owners and order that do not depend on who builds.
 */
import * as fs from "node:fs";

/** What an entry holds. Parts are put one after the other. */
export type Content =
  | { readonly bytes: Uint8Array }
  | { readonly file: string }
  | { readonly parts: readonly Content[] };

/** One entry of an archive. */
export type Entry =
  | { readonly type: "directory" }
  | { readonly type: "link"; readonly target: string }
  | { readonly type: "file"; readonly mode: number; readonly content: Content };

const typeBits = { directory: 0o040755, link: 0o120777 } as const;

/** Entries by path, without a leading slash. Parents come into being by themselves. */
export class Archive {
  readonly #entries = new Map<string, Entry>();

  /** Adds or replaces an entry. */
  set(path: string, entry: Entry): void {
    const clean = path.replace(/^\/+/, "");
    const slash = clean.lastIndexOf("/");
    if (slash > 0 && !this.#entries.has(clean.slice(0, slash))) {
      this.set(clean.slice(0, slash), { type: "directory" });
    }
    this.#entries.set(clean, entry);
  }

  /** Adds a file of this machine, with its permissions unless others are given. */
  addFile(path: string, source: string, mode = fs.statSync(source).mode & 0o777): void {
    this.set(path, { type: "file", mode, content: { file: source } });
  }

  addText(path: string, text: string, mode = 0o644): void {
    this.set(path, { type: "file", mode, content: { bytes: new TextEncoder().encode(text) } });
  }

  has(path: string): boolean {
    return this.#entries.has(path.replace(/^\/+/, ""));
  }

  /** All files that are no links or directories, with their sizes in bytes. */
  *files(): Generator<{ path: string; size: number }> {
    for (const [path, entry] of this.#entries) {
      if (entry.type === "file") yield { path, size: sizeOf(entry.content) };
    }
  }

  /** Writes the archive. */
  writeTo(file: string): void {
    const fd = fs.openSync(file, "w");
    try {
      this.#write(fd);
    } finally {
      fs.closeSync(fd);
    }
  }

  /** The archive in memory: for small ones that go into another. */
  toBytes(): Uint8Array {
    const chunks: Uint8Array[] = [];
    this.#write(chunks);
    return Buffer.concat(chunks);
  }

  #write(sink: number | Uint8Array[]): void {
    let inode = 1;
    // Directories sort before what is in them.
    for (const path of [...this.#entries.keys()].sort()) {
      const entry = this.#entries.get(path)!;
      const mode = entry.type === "file" ? 0o100000 | entry.mode : typeBits[entry.type];
      const content: Content = entry.type === "file"
        ? entry.content
        : { bytes: new TextEncoder().encode(entry.type === "link" ? entry.target : "") };
      const size = sizeOf(content);
      put(sink, header(path, inode++, mode, size));
      copy(sink, content);
      put(sink, new Uint8Array(-size & 3));
    }
    put(sink, header("TRAILER!!!", 0, 0, 0));
  }
}

function header(path: string, inode: number, mode: number, size: number): Uint8Array {
  const name = new TextEncoder().encode(path + "\0");
  // Owner and group 0, one link, no time, no device numbers, no checksum.
  const fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.length, 0];
  const head = new TextEncoder().encode(
    "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join(""),
  );
  return Buffer.concat([head, name, new Uint8Array(-(head.length + name.length) & 3)]);
}

function sizeOf(content: Content): number {
  if ("bytes" in content) return content.bytes.length;
  if ("file" in content) return fs.statSync(content.file).size;
  return content.parts.reduce((sum, part) => sum + sizeOf(part), 0);
}

function copy(sink: number | Uint8Array[], content: Content): void {
  if ("bytes" in content) put(sink, content.bytes);
  else if ("file" in content) put(sink, fs.readFileSync(content.file));
  else for (const part of content.parts) copy(sink, part);
}

function put(sink: number | Uint8Array[], bytes: Uint8Array): void {
  if (typeof sink !== "number") {
    sink.push(bytes);
    return;
  }
  for (let at = 0; at < bytes.length;) at += fs.writeSync(sink, bytes, at);
}
