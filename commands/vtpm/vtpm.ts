/** `xdevd vtpm`: the vTPMs below `/var/lib/xdevd/vtpm`, each with what makes it one. */
import { oneLine } from "../../core/log/log.ts";
import { quoted } from "../../core/log/quoted.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import type { MessageCode } from "../../core/messages/table.ts";
import { sha256OfBytes } from "../../platform/checksum.ts";
import {
  checkRegular,
  closeFile,
  O_CREAT,
  O_EXCL,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  openFile,
  openStatus,
  readOpen,
  statusOf,
  unlink,
  writeOpen,
} from "../../platform/io/file_calls.ts";
import { KeptStore } from "../../platform/io/kept_directories.ts";
import { printJson } from "../json_output.ts";
import { printTo } from "../../platform/self.ts";
import { hasCode } from "../../platform/system_error.ts";
import {
  ARCHIVE_MAX,
  type Archived,
  KEPT_FILE,
  packArchive,
  readArchive,
  VERSIONS,
} from "./archive.ts";

export interface VtpmOptions {
  readonly stateDir: string;
  readonly version?: string;
  readonly keyFile?: string;
  readonly json?: boolean;
  readonly yes?: boolean;
}

/** Files that say what a vTPM is (backends/vtpm/swtpm.ts). */
const [VERSION, CREATED, KEY] = ["version", "created", "key-file"];

/** A key: AES with 256 bits, in hexadecimal digits. */
const KEY_FORM = /^[0-9a-f]{64}\s*$/i;

/** Rights to read and to write of those who are neither a file's owner nor in its group. */
const OTHERS = 0o006;

/** One, as it is shown. */
interface Shown {
  readonly uuid: string;
  /** `2.0` or `1.2`; null when that cannot be told. */
  readonly version: string | null;
  readonly encrypted: boolean;
  readonly keyFile: string | null;
  readonly created: string | null;
  readonly lastUse: string | null;
  /** The device that uses it: `vtpm/7/0`. */
  readonly usedBy: string | null;
  /** Of what it keeps, in bytes; 0 of one that was never used. */
  readonly stateBytes: number;
  /** What is wrong with it. */
  readonly problem: string | null;
}

export function create(uuid: string | undefined, options: VtpmOptions): number {
  const id = uuid ?? crypto.randomUUID();
  const { version = "2.0", keyFile } = options;
  if (keyFile !== undefined) checkKey(keyFile);
  make(storeOf(options), id, {
    [VERSION!]: `${version}\n`,
    [CREATED!]: `${new Date().toISOString()}\n`,
    ...(keyFile === undefined ? {} : { [KEY!]: `${keyFile}\n` }),
  });
  print(id);
  return ExitCode.Success;
}

export function list(options: VtpmOptions): number {
  const store = storeOf(options);
  const all = store.list().sort().map((uuid) => describe(store, uuid));
  if (options.json) {
    printJson(all);
    return ExitCode.Success;
  }
  const rows = all.map(({ uuid, version, encrypted, lastUse, usedBy, problem }) => [
    uuid,
    version ?? "?",
    encrypted ? "yes" : "no",
    lastUse ?? "never",
    problem ?? usedBy ?? "-",
  ]);
  const head = ["UUID", "TPM", "ENCRYPTED", "LAST USE", "USED BY"];
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map((row) => row[at]!.length)));
  for (const row of [head, ...rows]) {
    print(row.map((cell, at) => cell.padEnd(widths[at]!)).join("  ").trimEnd());
  }
  return ExitCode.Success;
}

export function show(uuid: string, options: VtpmOptions): number {
  const store = existing(uuid, options);
  const shown = describe(store, uuid);
  if (options.json) {
    printJson(shown);
    return ExitCode.Success;
  }
  const { version, encrypted, keyFile, created, lastUse, usedBy, stateBytes, problem } = shown;
  const lines = [
    ["uuid", uuid],
    ["TPM", version ?? "?"],
    ["encrypted", encrypted ? `yes, with ${keyFile}` : "no"],
    ["created", created ?? "?"],
    ["last use", lastUse ?? "never"],
    ["used by", usedBy ?? "-"],
    ["state", `${stateBytes} bytes in ${store.path(uuid)}`],
    ...(problem === null ? [] : [["problem", problem]]),
  ];
  for (const [name = "", value = ""] of lines) print(`${name.padEnd(10)} ${value}`);
  return ExitCode.Success;
}

/** What of one is worth keeping goes into a file. */
export function exportTo(uuid: string, file: string, options: VtpmOptions): number {
  const store = existing(uuid, options);
  const bytes = unused(store, uuid, () => {
    const { version, encrypted, created, problem } = describe(store, uuid);
    if (problem !== null) throw new CodedError("failed", `vTPM ${uuid} is damaged: ${problem}`);
    const names = store.files(uuid).filter((name) => KEPT_FILE.test(name)).sort();
    const files = Object.fromEntries(
      names.map((name) => [name, store.readBytes(uuid, name, ARCHIVE_MAX / 4)!]),
    );
    const archived: Archived = { uuid, version: version!, encrypted, created, files };
    return packArchive(archived, sha256OfBytes);
  });
  const fd = openNew(file);
  try {
    writeOpen(fd, bytes);
  } catch (error) {
    unlink(file);
    throw error;
  } finally {
    closeFile(fd);
  }
  return ExitCode.Success;
}

export function importFrom(file: string, options: VtpmOptions): number {
  let archived: Archived;
  try {
    archived = readArchive(readSmall(file, ARCHIVE_MAX), sha256OfBytes);
  } catch (error) {
    throw new CodedError("bad-export", `${file}: ${(error as Error).message}`);
  }
  const { uuid, version, encrypted, created, files } = archived;
  const { keyFile } = options;
  if (encrypted !== (keyFile !== undefined)) {
    const rule = encrypted ? "is encrypted: name its key with --key-file" : "is not encrypted";
    throw new CodedError("usage", `vTPM ${uuid} ${rule}`);
  }
  if (keyFile !== undefined) checkKey(keyFile);
  make(storeOf(options), uuid, {
    [VERSION!]: `${version}\n`,
    ...(created === null ? {} : { [CREATED!]: `${created}\n` }),
    ...(keyFile === undefined ? {} : { [KEY!]: `${keyFile}\n` }),
    ...files,
  });
  print(uuid);
  return ExitCode.Success;
}

export function remove(uuid: string, options: VtpmOptions): number {
  const store = existing(uuid, options);
  if (options.yes !== true) {
    throw new CodedError(
      "usage",
      `vTPM ${uuid} would be lost for ever, with all that was sealed to it: --yes if that is meant`,
    );
  }
  unused(store, uuid, () => store.destroy(uuid));
  return ExitCode.Success;
}

function storeOf({ stateDir }: VtpmOptions): KeptStore {
  return new KeptStore(`${stateDir}/vtpm`);
}

/** @throws CodedError when there is none of that uuid */
function existing(uuid: string, options: VtpmOptions): KeptStore {
  const store = storeOf(options);
  if (store.path(uuid) !== undefined) return store;
  throw new CodedError("no-such-vtpm", `there is no vTPM ${uuid} in ${options.stateDir}/vtpm`);
}

function make(store: KeptStore, uuid: string, files: Record<string, string | Uint8Array>): void {
  refusing(
    "EEXIST",
    "vtpm-exists",
    `there is a vTPM ${uuid} already`,
    () => store.create(uuid, files),
  );
}

/** Does something with one that nobody uses, nor will until it is done. */
function unused<T>(store: KeptStore, uuid: string, work: () => T): T {
  return refusing(
    "EBUSY",
    "vtpm-in-use",
    `another command works on vTPM ${uuid}`,
    () =>
      store.locked(uuid, () => {
        const by = store.use(uuid)?.by ?? null;
        if (by === null) return work();
        throw new CodedError(
          "vtpm-in-use",
          `vTPM ${uuid} is used by ${by}, or could not be released by it`,
        );
      }),
  );
}

/** Of one of the operating system's errors, the line that people get. */
function refusing<T>(errno: string, code: MessageCode, line: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw hasCode(error, errno) ? new CodedError(code, line) : error;
  }
}

function describe(store: KeptStore, uuid: string): Shown {
  let problem: string | null = null;
  const found = <T>(look: () => T): T | null => {
    try {
      return look();
    } catch (error) {
      problem ??= oneLine((error as Error).message, 200);
      return null;
    }
  };
  const value = (file: string) => found(() => store.read(uuid, file)?.trim() ?? null);
  const given = value(VERSION!);
  const version = given !== null && VERSIONS.includes(given) ? given : null;
  if (version === null) problem ??= `its file ${VERSION} says ${quoted(given ?? "nothing")}`;
  const keyFile = value(KEY!);
  const use = found(() => store.use(uuid) ?? null);
  const names = found(() => store.files(uuid)) ?? [];
  const sizes = names.filter((name) => KEPT_FILE.test(name)).map((name) =>
    found(() => store.readBytes(uuid, name, ARCHIVE_MAX / 4)?.length ?? 0) ?? 0
  );
  return {
    uuid,
    version,
    encrypted: keyFile !== null,
    keyFile: keyFile && oneLine(keyFile, 200),
    created: timeOf(value(CREATED!)),
    lastUse: use?.at.toISOString() ?? null,
    usedBy: use?.by ?? null,
    stateBytes: sizes.reduce((sum, size) => sum + size, 0),
    problem,
  };
}

function timeOf(text: string | null): string | null {
  const date = new Date(text ?? "");
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/** @throws CodedError when it is no key, or no secret */
function checkKey(file: string): void {
  const why = faultOfKey(file);
  if (why !== null) throw new CodedError("usage", `key file ${oneLine(file, 200)} ${why}`);
}

function faultOfKey(file: string): string | null {
  // It is a part of one of swtpm's options, and a line of its own in the vTPM's directory.
  if (/[,\p{Cc}]|\s$/u.test(file)) {
    return "has a comma, a control character or a space at its end in its path: swtpm cannot be told of it";
  }
  try {
    if (!KEY_FORM.test(new TextDecoder().decode(readSmall(file, 1024)))) {
      return "does not have 64 hexadecimal digits";
    }
    return (statusOf(file).mode & OTHERS) === 0
      ? null
      : "can be read or written by anybody: `chmod o-rw` it, and give swtpm's user a right of his own";
  } catch (error) {
    return `cannot be read: ${(error as Error).message}`;
  }
}

/** A whole regular file. @throws SystemError */
function readSmall(file: string, max: number): Uint8Array {
  const fd = openFile(file, O_RDONLY | O_NONBLOCK);
  try {
    checkRegular(openStatus(fd), file);
    return readOpen(fd, max);
  } finally {
    closeFile(fd);
  }
}

function openNew(file: string): number {
  return refusing(
    "EEXIST",
    "failed",
    `${file} exists already: it is not replaced`,
    () => openFile(file, O_WRONLY | O_CREAT | O_EXCL, 0o600),
  );
}

function print(line: string): void {
  printTo(1, `${line}\n`);
}
