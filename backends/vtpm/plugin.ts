/**
 * Virtual TPMs. Behind each is one swtpm, bound to the uuid of the specification; its state is kept in
 * `/var/lib/xdevd/vtpm/UUID` and is never removed here. swtpm outlives the daemon and the process that
 * serves the guest, and ends with the device: if it ends by itself the device is closed, and no new one
 * is started under a running guest, whose measurements would be gone.
 */
import { busyError, defineServedPlugin, type Device } from "../../contract/v2/plugin.ts";
import { manifest } from "./manifest.ts";
import { openServer } from "./server.ts";
import { readSettings, userOf, type Version, VERSIONS, type VtpmSettings } from "./settings.ts";
import {
  causeIn,
  CONTROL_SOCKET,
  CREATED_FILE,
  DATA_SOCKET,
  KEY_FILE,
  LOG,
  OLD_STATE,
  SWTPM_FILES,
  swtpmArguments,
  VERSION_FILE,
} from "./swtpm.ts";

/** Name of swtpm among the device's processes. */
const PROCESS = "swtpm";

/** How long swtpm may take to listen, in ms: 50 is usual. */
const READY_MS = 5_000;
const POLL_MS = 5;

/** How long swtpm has to end, in ms: 2 are usual. One that works on a long command does not hear. */
const END_MS = 400;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export default defineServedPlugin({
  ...manifest,
  openServer,

  async add(device, signal) {
    const settings = readSettings(device.settings);
    const uuid = await uuidOf(device);
    const holders = device.holders("uuid", uuid);
    if (holders.length > 0) {
      throw inUse(
        uuid,
        holders.map(({ kind, frontendDomid, devid }) => `${kind}/${frontendDomid}/${devid}`).join(
          ", ",
        ),
        holders,
      );
    }
    await mustExist(device, settings.binary);
    await device.recordUndo({ uuid });
    const directory = await claimed(device, uuid, settings);
    const version = await versionOf(device, uuid);
    const keyFile = (await device.kept.read(uuid, KEY_FILE))?.trim();
    if (keyFile !== undefined && settings.user === null) {
      throw new Error(
        `vTPM ${uuid} is encrypted: swtpm must be able to read ${keyFile}. Name a user in ` +
          "[plugins.vtpm.settings] of the configuration, and give him the file",
      );
    }
    await startSwtpm(device, uuid, { directory, version, keyFile }, settings, signal);
    const { localities } = settings;
    try {
      const given = { directory, version, localities: localities.join(" ") };
      await device.server.start(given, signal);
    } catch (error) {
      throw await withCause(device, uuid, error as Error);
    }
  },

  async remove(device) {
    await device.children.stop(PROCESS, END_MS);
    const { uuid } = device.undo;
    if (typeof uuid !== "string") return;
    // Its disk may have become one that cannot be written: the next device takes it over.
    await device.kept.release(uuid).catch((error: Error) =>
      device.log.warning(`vTPM ${uuid} is still marked as used: ${error.message}`)
    );
  },
});

async function uuidOf(device: Device): Promise<string> {
  const text = (await device.config()).text("uuid").toLowerCase();
  if (UUID.test(text)) return text;
  throw new Error(
    `uuid is ${JSON.stringify(text.slice(0, 60))}; expected one such as ` +
      "01234567-89ab-cdef-0123-456789abcdef",
  );
}

function inUse(uuid: string, by: string, holders: Parameters<typeof busyError>[1] = []): Error {
  return busyError(`vTPM ${uuid} is in use by ${by}`, holders);
}

async function mustExist(device: Device, binary: string): Promise<void> {
  if (await device.system.exists(binary)) return;
  throw new Error(
    `swtpm ${binary} does not exist: install it (Debian: package swtpm), or name another one as ` +
      "binary in [plugins.vtpm.settings] of the configuration [program-missing]",
  );
}

/** The directory of a vTPM, which is this device's from now on. */
async function claimed(device: Device, uuid: string, settings: VtpmSettings): Promise<string> {
  const { kept, log } = device;
  try {
    if (await kept.path(uuid) === undefined) await create(device, uuid, settings);
    let holder = await kept.claim(uuid);
    // No device that has it: its record was lost.
    if (holder !== undefined && !stillHas(device, uuid, holder)) {
      log.warning(`vTPM ${uuid} was last used by ${holder}, which is gone: taken over`);
      holder = await kept.claim(uuid, holder);
    }
    if (holder !== undefined) throw inUse(uuid, holder);
    return (await kept.path(uuid))!;
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (code === "EBUSY") throw busyError(`vTPM ${uuid}: ${message}`);
    if (code === undefined) throw error;
    throw new Error(
      `the state of vTPM ${uuid} cannot be used: ${message} (it needs a disk that can be written ` +
        "and is kept)",
    );
  }
}

async function create(
  { kept, log }: Device,
  uuid: string,
  { creates, version }: VtpmSettings,
): Promise<void> {
  if (!creates) {
    throw new Error(
      `there is no vTPM ${uuid}, and setting create of plugin vtpm is "never": xdevd vtpm create ` +
        "makes one",
    );
  }
  await kept.create(uuid, {
    [VERSION_FILE]: `${version}\n`,
    [CREATED_FILE]: `${new Date().toISOString()}\n`,
  });
  log.info(`vTPM ${uuid} is new: TPM ${version}`);
}

function stillHas(device: Device, uuid: string, name: string): boolean {
  return device.holders("uuid", uuid).some(({ kind, frontendDomid, devid }) =>
    name === `${kind}/${frontendDomid}/${devid}`
  );
}

async function versionOf({ kept }: Device, uuid: string): Promise<Version> {
  const text = (await kept.read(uuid, VERSION_FILE))?.trim();
  const version = VERSIONS.find((one) => one === text);
  if (version !== undefined) return version;
  const found = text === undefined ? "is missing" : `says ${JSON.stringify(text.slice(0, 60))}`;
  throw new Error(
    `vTPM ${uuid} is damaged: its file ${VERSION_FILE} ${found}; expected ${VERSIONS.join(" or ")}`,
  );
}

async function startSwtpm(
  device: Device,
  uuid: string,
  about: { directory: string; version: Version; keyFile: string | undefined },
  settings: VtpmSettings,
  signal: AbortSignal,
): Promise<void> {
  const { kept, children, system, id } = device;
  const user = userOf(settings, id.frontendDomid);
  const files = await kept.files(uuid);
  const stale = (name: string) =>
    OLD_STATE.test(name) || [CONTROL_SOCKET, DATA_SOCKET].includes(name);
  for (const name of files.filter(stale)) await kept.remove(uuid, name);
  await kept.hand(uuid, user, files.filter((name) => SWTPM_FILES.test(name) && !stale(name)));
  await children.start(PROCESS, swtpmArguments({ ...about, binary: settings.binary, user }));
  for (let waited = 0;; waited += POLL_MS) {
    const made = await kept.files(uuid);
    if ([CONTROL_SOCKET, DATA_SOCKET].every((name) => made.includes(name))) return;
    if (!await children.running(PROCESS)) {
      throw await withCause(device, uuid, new Error("swtpm does not start"));
    }
    if (waited >= READY_MS) {
      throw await withCause(
        device,
        uuid,
        new Error(`swtpm is not ready after ${READY_MS / 1000} s`),
      );
    }
    await system.sleep(POLL_MS, signal);
  }
}

/** The same error, with what swtpm's log says. */
async function withCause({ kept }: Device, uuid: string, error: Error): Promise<Error> {
  const log = await kept.tail(uuid, LOG).catch(() => undefined);
  const cause = log === undefined
    ? `it writes no log to ${await kept.path(uuid)}: its user may not go there`
    : causeIn(log);
  return cause === "" ? error : new Error(`${error.message}: ${cause}`, { cause: error });
}
