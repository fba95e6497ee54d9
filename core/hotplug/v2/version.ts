/** Which version a script follows: by configuration, by what is known, or to be asked. */
import type { Files, FileStatus } from "../../../platform/types.ts";
import { isStockScript, V2_TELLTALE } from "./convention.ts";

/** Versions of the interface. */
export type ScriptVersion = 1 | 2;

/** Versions by configuration, by a script's name or path. */
export type ForcedVersions = ReadonlyMap<string, ScriptVersion>;

/** Largest script that is looked into, in bytes. Larger ones are asked. */
const LOOKED_INTO_MAX = 4 * 1024 * 1024;

/** What is known of scripts' versions. A file that has changed is another script. */
export class VersionCache {
  readonly #files: Files;
  #forced: ForcedVersions;
  readonly #stockDirectory: string;
  readonly #known = new Map<string, { mark: string; version: ScriptVersion }>();

  /** @param stockDirectory where Xen's own scripts are */
  constructor(files: Files, forced: ForcedVersions, stockDirectory: string) {
    this.#files = files;
    this.#forced = forced;
    this.#stockDirectory = stockDirectory;
  }

  /** Has other versions by configuration, from the next question on. */
  force(versions: ForcedVersions): void {
    this.#forced = versions;
  }

  /**
   * The version, or undefined if only the script itself can tell.
   * @param path absolute, checked
   */
  async find(path: string): Promise<ScriptVersion | undefined> {
    const forced = this.#forced.get(path) ??
      this.#forced.get(path.slice(path.lastIndexOf("/") + 1));
    if (forced !== undefined) return forced;
    if (isStockScript(path, this.#stockDirectory)) return 1;
    const status = await this.#files.stat(path);
    const known = this.#known.get(path);
    if (known?.mark === markOf(status)) return known.version;
    if (await this.#mayBe2(path, status)) return undefined;
    this.#known.set(path, { mark: markOf(status), version: 1 });
    return 1;
  }

  /** Remembers what the script has answered. */
  async learn(path: string, version: ScriptVersion): Promise<void> {
    this.#known.set(path, { mark: markOf(await this.#files.stat(path)), version });
  }

  /** A script that never mentions its hotplug directory cannot answer: it need not be asked. */
  async #mayBe2(path: string, { size }: FileStatus): Promise<boolean> {
    if (size > LOOKED_INTO_MAX) return true;
    const bytes = await this.#files.readAt(path, 0, size);
    return new TextDecoder("latin1").decode(bytes).includes(V2_TELLTALE);
  }
}

function markOf({ mtimeMs, ino, dev, size }: FileStatus): string {
  return `${dev}:${ino} ${mtimeMs} ${size}`;
}
