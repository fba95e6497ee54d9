/**
 * The messages that ask a person to act, by their codes. A line for people ends with its code in
 * brackets; docs/troubleshooting.md is made from this table (`npm run docs`). A code never changes
 * its meaning.
 */

/** One kind of trouble. */
export interface Message {
  /** Exit status of a command that it ends; none: only the log tells of it, or a device's `hotplug-error`. */
  readonly status?: number;
  readonly problem: string;
  readonly repair: string;
}

/** Where a plugin cannot do its work, and the like: the message says more than the code. */
const SEE_MESSAGE = "The message names the cause. Mend that, and do it again.";

const TABLE = {
  // Commands. Those that share a status are told apart by the code.
  "failed": { status: 1, problem: "It was tried, and failed.", repair: SEE_MESSAGE },
  "usage": {
    status: 2,
    problem: "The command line makes no sense.",
    repair: "The message says what is accepted; `xdevd COMMAND --help` lists all of it.",
  },
  "store-unreachable": {
    status: 3,
    problem: "There is no store: it was not found, does not answer, or went away.",
    repair:
      "Load the kernel's module (`modprobe xen-evtchn xenfs`, or mount `/proc/xen`), or start " +
      "xenstored. `XENSTORED_PATH` or `--store PATH` name another place.",
  },
  "already-served": {
    status: 4,
    problem: "Another daemon, or another command, serves this domain.",
    repair: "Use the one that runs, or stop it first. A lock is left by no process that has ended.",
  },
  "domain-0": {
    status: 5,
    problem: "This is domain 0, where the toolstack runs hotplug scripts itself.",
    repair:
      "Run the daemon in the driver domain. `--allow-dom0` is for a domain 0 whose `xl.conf` " +
      "says `run_hotplug_scripts=0`.",
  },
  "plugin-refused": {
    status: 5,
    problem: "A plugin that was named must not be used, or cannot be.",
    repair:
      "The message says why. Its file and all directories above it must belong to root, and " +
      "nobody else may write there.",
  },
  "plugin-conflict": {
    status: 5,
    problem: "Two plugins can serve one kind of device.",
    repair: "Choose one: `--kind KIND=NAME`, or `[kinds]` in the configuration.",
  },
  "bad-specification": {
    status: 6,
    problem: "A device's specification is not accepted.",
    repair: "Two more lines point at the place; specs.md has all that is accepted.",
  },
  "not-permitted": {
    status: 7,
    problem: "This user, or this domain, may not do that.",
    repair: "Run it as root; and what a toolstack does, in domain 0.",
  },
  "no-such-domain": {
    status: 8,
    problem: "There is no such domain, or no more; or several have that name.",
    repair: "`xl list` has names and domids. In a driver domain, only domids are known.",
  },
  "device-exists": {
    status: 9,
    problem: "The guest has a device of that number already.",
    repair: "`xdevd list DOMAIN` shows it: detach it, or choose another number.",
  },
  "no-such-device": {
    status: 10,
    problem: "The guest has no such device.",
    repair: "`xdevd list DOMAIN` shows what it has.",
  },
  "script-refused": {
    status: 11,
    problem: "There is no such hotplug script, or it must not be run.",
    repair:
      "Install it, or correct the name. It must lie in a directory that `--scripts` names, belong " +
      "to root as all directories above it, and nobody else may write there.",
  },
  "daemon-silent": {
    status: 12,
    problem: "No daemon answers in the run directory.",
    repair: "See whether it runs, and with which `--run-dir`.",
  },
  "no-answer": {
    status: 12,
    problem: "The driver domain did nothing.",
    repair: "See there whether it is up, its kernel's backend is loaded (`modprobe xen-blkback`, " +
      "`xen-netback`), and its daemon runs (`systemctl status xdevd`).",
  },
  "setup-failed": {
    status: 13,
    problem: "The driver domain tried to set the device up, and could not.",
    repair:
      "The message has its reason; the driver domain's log has more. Where the reason ends with " +
      "a code of its own, look that up.",
  },
  "not-in-time": {
    status: 14,
    problem: "The guest did not connect, or somebody did not let go of the device, in time.",
    repair:
      "See in the guest whether its driver is loaded; unmount a disk before it is detached. " +
      "`--timeout` gives more time, `--force` does not wait.",
  },
  "unsafe-place": {
    status: 15,
    problem:
      "Others may write where the daemon keeps its files, or something else has a file's name.",
    repair: "The message says what: `chown root:root` and `chmod go-w` it, or remove it, or name " +
      "another place (`--run-dir`, `--log`, `--pidfile`).",
  },
  "bad-configuration": {
    status: 1,
    problem:
      "The configuration cannot be read, or has a setting that does not exist or makes no sense.",
    repair: "The message has the place. After the correction: `systemctl reload xdevd`.",
  },
  "found-failures": {
    status: 1,
    problem: "`xdevd doctor` has found something that does not work.",
    repair: "Each line of it has its own.",
  },
  "found-warnings": {
    status: 16,
    problem: "`xdevd doctor` has found no failure, and warns of something.",
    repair: "Each line of it has its own.",
  },
  "not-looked-at": {
    status: 17,
    problem: "`xdevd doctor` has found nothing wrong, and could not look at everything.",
    repair: "Run it in the driver domain, as root; its lines say what is missing.",
  },
  "no-such-vtpm": {
    status: 10,
    problem: "There is no vTPM of that uuid.",
    repair: "`xdevd vtpm list` shows those that there are.",
  },
  "vtpm-exists": {
    status: 9,
    problem: "There is a vTPM of that uuid already.",
    repair: "Nothing is replaced: `xdevd vtpm delete UUID` it first, if it is not needed any more.",
  },
  "vtpm-in-use": {
    status: 1,
    problem: "A device uses the vTPM, or could not be undone; or another command works on it.",
    repair:
      "Detach the device, or shut its guest down. Of a device that is stuck, `xdevd give-up` ends the " +
      "trying; its use is over at the latest when the machine was started anew.",
  },
  "bad-export": {
    status: 1,
    problem: "The file is not what `xdevd vtpm export` has written, or was cut or altered.",
    repair: "Copy it again, and compare its sha256 on both sides.",
  },
  "device-in-use": {
    status: 1,
    problem: "The device is attached, or attached locally, and cannot be unprepared.",
    repair: "Detach it first (`xdevd local-detach` if it is attached locally).",
  },
  "odd-record": {
    status: 1,
    problem: "The record of a device names a backend that cannot be its own.",
    repair:
      "`--force` removes the record alone; look in the driver domain for what is left of the " +
      "device.",
  },

  // The daemon as a whole.
  "store-silent": {
    problem: "The store has not answered for a while; the daemon waits.",
    repair:
      "In domain 0, see whether xenstored runs and is not overloaded. The daemon goes on by itself.",
  },
  "store-lost": {
    problem: "The connection with the store has ended; the daemon waits for it to return.",
    repair: "Start xenstored again. The daemon connects by itself, and looks at everything anew.",
  },
  "watch-refused": {
    problem: "The store refuses a watch, so that changes are noticed late.",
    repair:
      "This domain has used up its quota. In domain 0 raise it (`xenstored -W`), or have fewer " +
      "programs watch.",
  },
  "backends-hidden": {
    problem: "The directories of backends cannot be listed; it is tried again.",
    repair:
      "In domain 0, see whether this domain may read `/local/domain/DOMID/backend` (`xenstore-ls -p`).",
  },
  "no-plugin": {
    problem: "No plugin serves the devices of some kind, so they are ignored.",
    repair:
      "`xdevd plugin list` shows what there is. Put a plugin into `/etc/xdevd/plugins.d`, or name " +
      "it (`--plugin FILE`), and start the daemon again.",
  },
  "plugin-failing": {
    problem: "A plugin that is a program does not start, has ended, or breaks the protocol.",
    repair: "`xdevd plugin check FILE` says what is wrong with it; its lines are in the log.",
  },
  "restart-needed": {
    problem: "A setting has changed that only a restart of the daemon puts into effect.",
    repair: "`systemctl restart xdevd`. Connected devices stay connected.",
  },
  "service-manager": {
    problem: "systemd cannot be told that the daemon is up or alive.",
    repair:
      "See whether its unit has `Type=notify` and `NotifyAccess=main`, as the one of `xdevd install`.",
  },
  "empty-directories": {
    problem:
      "Guests that are gone have left empty directories in the store, and the quota is near.",
    repair: "In domain 0: `xenstore-rm` each of them. This domain may not.",
  },

  // One device.
  "backend-driver-missing": {
    problem: "The kernel's backend has not taken the device up.",
    repair: "Load its module in the driver domain: `modprobe xen-blkback` for disks, `modprobe " +
      "xen-netback` for network interfaces; and have it loaded at each start.",
  },
  "interface-missing": {
    problem: "The kernel has not made the interface of a network device.",
    repair: "`modprobe xen-netback`, and see `dmesg` for what it says of the device.",
  },
  "bridge-missing": {
    problem: "There is no bridge of the name that the device asks for, or none at all.",
    repair:
      "Make it (`ip link add xenbr0 type bridge`, or your network configuration), or name another " +
      "one in the guest's configuration (`bridge=NAME`).",
  },
  "program-missing": {
    problem: "A program that this needs is not installed.",
    repair:
      "The message names it: install its package, or name another place in the configuration.",
  },
  "target-missing": {
    problem: "What the disk is to be made of does not exist, or is no block device and no file.",
    repair:
      "Correct `target=` in the guest's configuration, or make it available in the driver domain: " +
      "activate the volume, mount the file system. Then attach the disk again.",
  },
  "storage-silent": {
    problem: "Storage, or the server that it is on, does not answer. Other disks are served.",
    repair:
      "Bring the server back, or unmount what it serves (`umount -f`, `umount -l`); USR1 logs who waits for " +
      "what. Then attach the disk again.",
  },
  "storage-in-use": {
    problem: "Something else uses the storage, and this use cannot be shared with it.",
    repair:
      "The message names who has it. When it is released the device is set up by itself. What is " +
      "meant to be shared has a mode that ends in `!`.",
  },
  "hooks-not-run": {
    problem: "Administrators' additions to Xen's scripts are not run, since no script is.",
    repair: 'Set `native = "never"` for the plugin if they are needed, or remove them.',
  },
  "script-without-status": {
    problem:
      "A script succeeds without writing `hotplug-status`; the daemon writes it in its place.",
    repair:
      "Have the script write `connected` when it is done; other daemons would wait for it in vain.",
  },
  "setup-left": {
    problem: "What a script has set up could not be undone completely.",
    repair:
      "The message names what is left: a loop device (`losetup -d`), a port of a bridge, an " +
      "interface. Remove it by hand when nothing uses it.",
  },
  "undo-unknown": {
    problem: "Nothing tells how the device was set up, so it is not undone by its script.",
    repair: "Look for what is left of it: loop devices (`losetup -l`), interfaces (`ip link`).",
  },
  "descriptors-few": {
    problem:
      "The daemon has so few file descriptors left that it sets up nothing more; it still undoes.",
    repair: "Raise its limit: `LimitNOFILE=` of its unit, or `ulimit -n` before it is started.",
  },
  "removal-slow": {
    problem: "Undoing the device takes so long that the toolstack may give up.",
    repair:
      "The log says what is waited for. See whether the storage answers, and what the script does.",
  },
  "removal-failed": {
    problem: "The device could not be undone. That is tried again, at least each minute.",
    repair:
      "The message has the cause: mend that. `xdevd give-up` ends the trying; what is left is " +
      "then to be removed by hand.",
  },
  "directory-stays": {
    problem: "The device is undone, and its directory in the store cannot be deleted.",
    repair: "In domain 0: `xenstore-rm` it, and see its permissions (`xenstore-ls -p`).",
  },
  "journal-unusable": {
    status: 1,
    problem:
      "The daemon cannot use its journal, so that after a restart it may not know what is set up.",
    repair:
      "See whether the run directory's file system is full or read-only (`df`, `dmesg`); a file that is not the daemon's has to go from there.",
  },
  "qemu-ended": {
    problem: "The QEMU that serves devices of a guest has ended, or does not start.",
    repair:
      "Its last line is in the message, all of them in the log. Another one is started by itself.",
  },
  "server-failed": {
    problem: "What serves a device to its guest has ended, or cannot go on; the device is closed.",
    repair:
      "The message names the cause. It is not served again by itself, since its guest would not know: detach it, and attach it again.",
  },
  "driver-domain-rights": {
    problem: "The toolstack has given this domain no rights that a driver domain needs.",
    repair: "Have its configuration say `driver_domain=1`, and start it again.",
  },
} as const satisfies Record<string, Message>;

/** What messages may end with. */
export type MessageCode = keyof typeof TABLE;

/** The messages by their codes. */
export const MESSAGES: Readonly<Record<MessageCode, Message>> = TABLE;

/** With what a command ends that has failed by this. */
export function statusOf(code: MessageCode): number {
  return MESSAGES[code].status ?? 1;
}

/** A line for people with its code, as it stands in logs and nodes. */
export function coded(code: MessageCode, line: string): string {
  return codeIn(line) === null ? `${line} [${code}]` : line;
}

/** The code that a line ends with. */
export function codeIn(line: string): MessageCode | null {
  const code = /\[([a-z0-9-]+)\]$/.exec(line)?.[1];
  return code !== undefined && isMessageCode(code) ? code : null;
}

/** Whether a text is a code of this table. */
export function isMessageCode(text: unknown): text is MessageCode {
  return typeof text === "string" && Object.hasOwn(TABLE, text);
}
