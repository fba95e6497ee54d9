/** The journal in a file: what a daemon that is killed leaves to the next one. */
import type { AppendFile, AppendFiles } from "../../../platform/io/append_file.ts";
import { coded } from "../../messages/table.ts";
import type { JournalEntry } from "./entry.ts";
import {
  encodeDrop,
  encodeHeader,
  encodePut,
  JOURNAL_VERSION,
  type JournalHeader,
  OLDEST_VERSION,
  replay,
} from "./format.ts";
import { MemoryJournal } from "./memory.ts";

/** The journal cannot be read or written; the message names the file. */
export class JournalError extends Error {
  readonly messageCode = "journal-unusable";
  override name = "JournalError";
}

/** The file is compacted when it is larger than this, in bytes, and … */
const COMPACT_FROM = 64 * 1024;
/** … larger than what counts in it by this factor. */
const COMPACT_FACTOR = 4;

/** What a journal is made of. */
export interface JournalParts extends JournalHeader {
  readonly files: AppendFiles;
  readonly path: string;
  report(level: "info" | "warning" | "error", text: string): void;
}

/**
 * Records of devices, each written before the next statement runs. Nothing is forced to the disk:
 * loop devices and processes, of which it tells, do not survive the machine either, and the header
 * names the start of the machine that it belongs to.
 */
export class Journal extends MemoryJournal {
  readonly #parts: JournalParts;
  #file: AppendFile;
  /** Size at which compaction is tried next, in bytes. */
  #compactAt = COMPACT_FROM;
  /** Whether something counts that the file does not say. */
  #behind = false;
  /** The file may be the next daemon's by now. */
  #closed = false;

  private constructor(
    parts: JournalParts,
    entries: Map<string, JournalEntry>,
    file: AppendFile,
  ) {
    super(entries);
    this.#parts = parts;
    this.#file = file;
    this.#setLimit();
  }

  /**
   * Reads what an earlier daemon left, and begins a file of its own with it.
   * @throws JournalError when the file is not ours, is of a later version, or cannot be written
   */
  static open(parts: JournalParts): Journal {
    try {
      const entries = readEntries(parts);
      return new Journal(parts, entries, parts.files.replace(parts.path, snapshot(parts, entries)));
    } catch (error) {
      throw new JournalError(`cannot use the journal ${parts.path}: ${(error as Error).message}`);
    }
  }

  override put(entry: JournalEntry): void {
    this.catchUp();
    try {
      this.#file.append(encodePut(entry));
    } catch (error) {
      throw new JournalError(`${this.#unwritten}: ${(error as Error).message}`);
    }
    super.put(entry);
    this.#compact();
  }

  override note(entry: JournalEntry): boolean {
    this.#checkOpen();
    const record = encodePut(entry);
    super.note(entry);
    return this.#follow(record);
  }

  override drop(name: string): void {
    if (this.get(name) === undefined) return;
    this.#checkOpen();
    super.drop(name);
    this.#follow(encodeDrop(name));
  }

  override catchUp(): boolean {
    if (!this.#behind) return true;
    if (this.#closed) return false;
    try {
      this.#rewrite();
    } catch {
      return false;
    }
    this.#parts.report("info", `the journal ${this.#parts.path} is up to date again`);
    return true;
  }

  /** Ends the use of the file: what changes something throws JournalError from here on. */
  close(): void {
    this.catchUp();
    this.#closed = true;
    this.#file.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new JournalError(`${this.#unwritten}: it is closed`);
  }

  /** Writes what counts already. @returns whether that could be done */
  #follow(record: Uint8Array): boolean {
    if (this.#behind) return this.catchUp();
    try {
      this.#file.append(record);
    } catch (error) {
      this.#behind = true;
      const text = `${this.#unwritten}, and is brought up to date later: ${
        (error as Error).message
      }`;
      this.#parts.report("warning", coded("journal-unusable", text));
      return false;
    }
    this.#compact();
    return true;
  }

  get #unwritten(): string {
    return `the journal ${this.#parts.path} cannot be written`;
  }

  /** Puts a file with what counts in the place of the one that there is. */
  #rewrite(): void {
    const old = this.#file;
    this.#file = this.#parts.files.replace(this.#parts.path, snapshot(this.#parts, this.all));
    this.#behind = false;
    this.#setLimit();
    old.close();
  }

  #compact(): void {
    if (this.#file.size < this.#compactAt) return;
    const { path, report } = this.#parts;
    try {
      this.#rewrite();
    } catch (error) {
      // The old one goes on; the next try comes when it has grown as much again.
      this.#compactAt = this.#file.size + COMPACT_FROM;
      report("warning", `the journal ${path} cannot be compacted: ${(error as Error).message}`);
    }
  }

  #setLimit(): void {
    this.#compactAt = Math.max(COMPACT_FROM, COMPACT_FACTOR * this.#file.size);
  }
}

function snapshot(
  header: JournalHeader,
  entries: ReadonlyMap<string, JournalEntry>,
): Uint8Array {
  const records = [encodeHeader(header), ...[...entries.values()].map(encodePut)];
  const bytes = new Uint8Array(records.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const record of records) {
    bytes.set(record, offset);
    offset += record.length;
  }
  return bytes;
}

function readEntries({ files, path, domid, bootId, report }: JournalParts) {
  const nothing = new Map<string, JournalEntry>();
  let bytes: Uint8Array;
  try {
    bytes = files.read(path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return nothing;
    throw error;
  }
  const { header, version, entries, damage, goodLength } = replay(bytes);
  if (damage === "newer") {
    throw new Error(
      `it is of version ${version}; expected ${OLDEST_VERSION} to ${JOURNAL_VERSION}: a later xdevd ` +
        "has written it, and has to be the one that runs; nothing was changed",
    );
  }
  if (damage !== null && damage !== "torn") {
    // It stays where it is, too: a kill before the new file is there must not cost what is good.
    files.keep(path, `${path}.bad`);
    const what = damage === "foreign"
      ? "is no journal"
      : damage === "version"
      ? `is of no version that there is (expected ${OLDEST_VERSION} to ${JOURNAL_VERSION})`
      : `is damaged after ${goodLength} of ${bytes.length} bytes`;
    report(
      "error",
      `the journal ${path} ${what}: kept as ${path}.bad; the store must tell the rest`,
    );
  }
  if (header === null) return nothing;
  if (header.domid !== domid || header.bootId !== bootId) {
    const cause = header.domid === domid ? "an earlier boot" : `domain ${header.domid}`;
    const count = entries.size === 0 ? "" : `: its ${entries.size} records are dropped`;
    report("info", `the journal ${path} is of ${cause}${count}`);
    return nothing;
  }
  if (version !== JOURNAL_VERSION && entries.size > 0) {
    report(
      "info",
      `the journal ${path} is of version ${version}: its ${entries.size} records are taken over ` +
        `into version ${JOURNAL_VERSION}`,
    );
  }
  return entries;
}
