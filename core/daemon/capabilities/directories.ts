/** Directories that a device's plugin may use, below the daemon's own. */
import type { DeviceDirectories } from "../../../contract/v1/plugin.ts";
import { type DeviceId, deviceName } from "../../xen/device_id.ts";
import type { Files } from "../../../platform/types.ts";

const MODE = 0o700;

/** Makes and removes them. */
export class DirectoryKeeper {
  readonly #files: Files;
  readonly #base: string;
  /** Names of those that there are: an earlier daemon's, and what was made since. */
  #names: Promise<Set<string>> | null = null;
  #calls = 0;

  /** @param base absolute; made when it is first needed */
  constructor(files: Files, base: string) {
    this.#files = files;
    this.#base = base;
  }

  /** For one call; `end` removes what was temporary. */
  open(id: DeviceId): DeviceDirectories & { end(): Promise<void> } {
    const name = nameOf(id);
    const own = `${this.#base}/${name}`;
    let temporary: Promise<string> | null = null;
    const make = async (path: string) => {
      (await this.#known()).add(name);
      await this.#files.makeDirectory(path, MODE);
      return path;
    };
    return {
      state: () => make(`${own}/state`),
      temporary: () => temporary ??= make(`${own}/call-${++this.#calls}`),
      end: async () => {
        // Of one that could not be made the plugin was told.
        const made = await temporary?.catch(() => null);
        if (made != null) await this.#files.remove(made);
      },
    };
  }

  /** Removes all of a device. */
  async remove(id: DeviceId): Promise<void> {
    const names = await this.#known();
    const name = nameOf(id);
    if (!names.has(name)) return;
    await this.#files.remove(`${this.#base}/${name}`);
    names.delete(name);
  }

  /** Asked once, since nobody else makes any here. @throws SystemError */
  #known(): Promise<Set<string>> {
    return this.#names ??= this.#files.list(this.#base).then(
      (names) => new Set(names),
      (error) => {
        if ((error as { code?: unknown }).code === "ENOENT") return new Set<string>();
        this.#names = null;
        throw error;
      },
    );
  }
}

function nameOf(id: DeviceId): string {
  return deviceName(id).replaceAll("/", "-");
}
