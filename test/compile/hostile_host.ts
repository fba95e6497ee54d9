/**
 * Runs in the small binary, in place of the program: gives the host in C what it must refuse. Prints a
 * line for each: what was tried, and what came of it.
 */
import { host } from "../../platform/quickjs/host.ts";

type Call = (...args: unknown[]) => unknown;
const sys = host.sys as unknown as Record<string, Call>;
const functions = host as unknown as Record<string, Call>;

const AT_FDCWD = -100;
/** A descriptor that is not there. */
const NONE = 999_999;
const path = new Uint8Array([0x2f, 0x78, 0x2f, 0x78, 0]);
const room = new Uint8Array(4096);

function detached(): Uint8Array {
  const gone = new Uint8Array(64);
  host.sys.unmap(gone.buffer);
  return gone;
}

function print(text: string): void {
  host.sys.write(1, new Uint8Array(host.utf8(`${text}\n`)));
}

function attempt(what: string, run: () => unknown): void {
  let result: string;
  try {
    result = `returned ${run()}`;
  } catch (error) {
    result = (error as Error).name;
  }
  print(`${what}: ${result}`);
}

/** In the places of a path. */
const NO_PATHS: readonly (readonly [string, unknown])[] = [
  ["a number", 4096],
  ["an address", 0x7fff_0000_0000],
  ["a text", "/tmp"],
  ["null", null],
  ["an object", { length: 8 }],
  ["no NUL", new Uint8Array([0x2f, 0x78])],
  ["nothing", new Uint8Array(0)],
  ["16 bits", new Uint16Array(8)],
  ["a buffer", new ArrayBuffer(8)],
  ["detached", detached()],
];
const NO_MEMORY = NO_PATHS.filter(([what]) => what !== "no NUL" && what !== "nothing");
const NO_INTEGERS: readonly (readonly [string, unknown])[] = [
  ["a fraction", 1.5],
  ["NaN", NaN],
  ["too large", 2 ** 60],
  ["a text", "1"],
  ["undefined", undefined],
  ["memory", room],
  ["an object", { valueOf: () => 1 }],
];

/** Arguments that are right; nothing is there that they name. P a path, M memory, others as they are. */
const P = path, M = room;
const CALLS: Readonly<Record<string, readonly unknown[]>> = {
  accept: [NONE, 0],
  access: [AT_FDCWD, P, 0],
  bind: [NONE, M],
  chdir: [P],
  close: [NONE],
  connect: [NONE, M],
  dup2: [NONE, NONE],
  fchmod: [NONE, 0],
  fchown: [NONE, 0, 0],
  fcntl: [NONE, 1, 0],
  flock: [NONE, 0],
  ftruncate: [NONE, 0],
  getdents: [NONE, M],
  getsockopt: [NONE, 1, 1, M],
  ioctl: [NONE, 0x4c05, M],
  link: [AT_FDCWD, P, AT_FDCWD, P],
  listen: [NONE, 1],
  mkdir: [AT_FDCWD, P, 0],
  open: [AT_FDCWD, P, 0, 0],
  pread: [NONE, M, 0],
  pwrite: [NONE, M, 0],
  read: [NONE, M],
  readlink: [AT_FDCWD, P, M],
  recv: [NONE, M, 0],
  rename: [AT_FDCWD, P, AT_FDCWD, P],
  send: [NONE, M, 0, M],
  setsockopt: [NONE, 1, 1, M],
  shutdown: [NONE, 0],
  stat: [AT_FDCWD, P, 0, 0, M],
  symlink: [P, AT_FDCWD, P],
  unlink: [AT_FDCWD, P, 0],
  unmount: [P, 0],
  write: [NONE, M],
};

for (const [name, args] of Object.entries(CALLS)) {
  attempt(`right ${name}`, () => sys[name]!(...args));
  attempt(`${name} without arguments`, () => sys[name]!());
  args.forEach((arg, index) => {
    const wrong = arg === P ? NO_PATHS : arg === M ? NO_MEMORY : NO_INTEGERS;
    for (const [what, value] of wrong) {
      // That one has an address or none.
      if (name === "send" && index === 3 && value === null) continue;
      attempt(`${name} ${index} ${what}`, () => sys[name]!(...args.with(index, value)));
    }
  });
}

const few = (size: number) => new Uint8Array(size);
attempt("pipe with too little memory", () => sys["pipe"]!(few(7), 0));
attempt("stat with too little memory", () => sys["stat"]!(AT_FDCWD, path, 0, 0, few(255)));
attempt("ioctl with too little memory", () => sys["ioctl"]!(NONE, 0x4c05, few(231)));
attempt("ioctl with a list that is longer than its memory", () => {
  const asked = new Uint32Array(6);
  asked[0] = 2;
  return sys["ioctl"]!(NONE, 0x184700, new Uint8Array(asked.buffer));
});
attempt("ioctl with a list without end", () => sys["ioctl"]!(NONE, 0x184700, few(24).fill(255)));
attempt("grantCopy beyond its page", () => sys["grantCopy"]!(NONE, 1, 8, 4000, few(97), 0));
attempt("grantCopy of a wide reference", () => sys["grantCopy"]!(NONE, 1, 2 ** 32, 0, few(1), 0));
attempt("grantCopy with an address", () => sys["grantCopy"]!(NONE, 1, 8, 0, 4096, 1));
attempt("setresuid of a wide user", () => sys["setresuid"]!(2 ** 32));
attempt("ioctl that is not used", () => sys["ioctl"]!(NONE, 0x5401, few(4096)));
attempt("ioctl with an address", () => sys["ioctl"]!(NONE, 0x5401, 4096));
attempt("fcntl with an address", () => sys["fcntl"]!(NONE, 5, 4096));
attempt("prctl with an address", () => sys["prctl"]!(15, 4096));
attempt("pread of a wide descriptor", () => sys["pread"]!(2 ** 33, room, 0));
attempt("map of nothing", () => sys["map"]!(NONE, 0, 1, 0));
attempt("map of too much", () => sys["map"]!(NONE, 2 ** 31, 1, 0));
attempt("map to run it", () => sys["map"]!(NONE, 4096, 5, 0));
attempt(
  "spawn without NULs",
  () => functions["spawn"]!(few(1).fill(65), few(0), path, -1, -1, -1, -1, 0, -1, -1),
);
attempt("spawn with texts", () => functions["spawn"]!("sh", "", "/", -1, -1, -1, -1, 0, -1, -1));
attempt("exec with numbers", () => functions["exec"]!(1, 2, 3));
attempt("exec without NULs", () => functions["exec"]!(path, few(1).fill(65), few(0)));
attempt("signals with a number", () => functions["signals"]!(9));
attempt("wait with a number", () => functions["wait"]!(4096, 0));
attempt("text of detached memory", () => functions["text"]!(detached()));
attempt("a module without a NUL", () => functions["module"]!(few(1).fill(65), "/x"));
attempt("a module of a part's name", () => functions["module"]!(few(1), "main.js"));
attempt("a module of one of our files' names", () => functions["module"]!(few(1), "core/x.ts"));
attempt("a module of eval's name", () => functions["module"]!(few(1), "<eval>"));
attempt("a module without a name", () => functions["module"]!(few(1), ""));
const moving = new Uint8Array(1 << 20);
attempt("a module whose name takes its memory away", () =>
  functions["module"]!(moving, {
    toString() {
      host.sys.unmap(moving.buffer);
      return "/x";
    },
  }));
attempt("bounded of nothing", () => functions["bounded"]!(1));

// Right ones, right at the end: no room is no fault.
attempt("right wait without room", () => functions["wait"]!(few(0), 0));
attempt("right unmap of a number", () => sys["unmap"]!(1));
print("alive");
host.exit(0);
