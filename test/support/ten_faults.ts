/** Ten ways in which an attach fails, each with a cause of its own. */
import * as fs from "node:fs/promises";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { HandMadeDevice } from "./hand_made.ts";

/** One way. */
export interface Fault {
  /** What the backend directory has. */
  readonly nodes: Readonly<Record<string, string>>;
  /** What the kernel's backend says. */
  readonly state: string;
  /** What has to be told of it. */
  readonly cause: RegExp;
}

/** Options of a daemon that meets them. @param seconds that a script may take */
export const faultTimes = (
  seconds: number,
) => ["--time", `hotplug=${seconds}`, "--time", "initWait=2", "--time", "check=3600"];

/**
 * Makes the scripts. Those of sound devices are called `block-good`.
 * @param directory where scripts are; below it, others are made
 */
export async function makeFaults(directory: string, path: string): Promise<readonly Fault[]> {
  const script = async (name: string, text: string, mode = 0o755): Promise<string> => {
    const file = join(directory, name);
    await fs.writeFile(file, text, { mode });
    await fs.chmod(file, mode);
    return file;
  };
  const sh = (text: string) => `#!/bin/sh\nPATH=${path}\n[ "$1" = add ] || exit 0\n${text}\n`;
  await script(
    "block-good",
    sh(
      "devid=${XENBUS_PATH##*/}; of=${XENBUS_PATH%/*}; guest=${of##*/}\n" +
        // None has another one's.
        "number=$(printf 7:%x $((guest * 4096 + devid % 4096)))\n" +
        'xenstore-write "$XENBUS_PATH/physical-device" $number "$XENBUS_PATH/hotplug-status" connected',
    ),
  );
  const elsewhere = join(directory, "..", "block-elsewhere");
  await fs.writeFile(elsewhere, "#!/bin/sh\n", { mode: 0o755 });
  const says = await script("block-says", sh('echo "the volume is locked" >&2; exit 3'));
  const writes = await script(
    "block-writes",
    sh(
      'xenstore-write "$XENBUS_PATH/hotplug-error" "no such pool" ' +
        '"$XENBUS_PATH/hotplug-status" error; exit 1',
    ),
  );
  const silent = await script("block-silent", sh("exit 42"));
  const slow = await script("block-slow", sh("sleep 120"));
  const killed = await script("block-killed", sh("kill -KILL $$"));
  const unsafe = await script("block-unsafe", sh("exit 0"), 0o777);
  const bare = await script("block-bare", "#!/nowhere/sh\n");
  const by = (file: string, cause: RegExp): Fault => ({
    nodes: { script: file, params: `/images/${file.slice(file.lastIndexOf("-") + 1)}` },
    ...{ state: "2", cause },
  });
  return [
    by(says, /exited with status 3: the volume is locked/),
    by(writes, /no such pool/),
    by(silent, /exited with status 42/),
    by(slow, /did not end within \d+ s and was killed/),
    by(killed, /killed by SIGKILL|status 137/),
    by(unsafe, /block-unsafe.*writ/),
    by(bare, /interpreter of its #! line, does not exist/),
    by(join(directory, "block-missing"), /block-missing/),
    by(elsewhere, /block-elsewhere/),
    {
      nodes: { script: says, params: "/images/identity", "frontend-id": "0" },
      ...{ state: "2", cause: /frontend-id is "0"; its path says/ },
    },
  ];
}

/** Makes the directories of such a device. */
export async function makeFaulty(
  dom0: StoreClient,
  of: { readonly backendDomid: number; readonly frontendDomid: number; readonly devid: number },
  fault: Fault,
): Promise<HandMadeDevice> {
  const device = new HandMadeDevice(dom0, { ...of, kind: "vbd" });
  await device.create({ ...fault.nodes, state: fault.state });
  return device;
}
