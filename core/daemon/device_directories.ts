/** Directories that a device's plugin may use, below the daemon's own. */
import type { DeviceDirectories } from "../../plugins/contract.ts";
import { type DeviceId, deviceName } from "../device/id.ts";
import type { Files } from "../platform/types.ts";

const MODE = 0o700;

/** Makes and removes them. */
export class DirectoryKeeper {
  readonly #files: Files;
  readonly #base: string;
  #calls = 0;

  /** @param base absolute; made when it is first needed */
  constructor(files: Files, base: string) {
    this.#files = files;
    this.#base = base;
  }

  /** For one call; `end` removes what was temporary. */
  open(id: DeviceId): DeviceDirectories & { end(): Promise<void> } {
    const own = this.#pathOf(id);
    let temporary: Promise<string> | null = null;
    const make = async (path: string) => {
      await this.#files.makeDirectory(path, MODE);
      return path;
    };
    return {
      state: () => make(`${own}/state`),
      temporary: () => temporary ??= make(`${own}/call-${++this.#calls}`),
      end: async () => {
        if (temporary !== null) await this.#files.remove(await temporary);
      },
    };
  }

  /** Removes all of a device. */
  async remove(id: DeviceId): Promise<void> {
    await this.#files.remove(this.#pathOf(id));
  }

  #pathOf(id: DeviceId): string {
    return `${this.#base}/${deviceName(id).replaceAll("/", "-")}`;
  }
}
