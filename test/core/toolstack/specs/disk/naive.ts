/**
 * The grammar of disk specifications once more, as slowly as its table is written: at each position
 * every rule is tried, the longest match is taken, of equal ones the first. It shares nothing with
 * the parser that it checks. All errors are collected, as the stock parser does.
 */

/** What is said of a disk, in libxl's names. */
export type NaiveDisk = Record<string, string | number | boolean>;

interface State {
  disk: NaiveDisk;
  errors: string[];
  hadPrefix: boolean;
  hadAccess: boolean;
}

/** A rule: what is taken, what it counts as (if more), and what it does; false ends the parsing. */
type Rule = [taken: RegExp, counted: RegExp, act: (state: State, text: string) => boolean | void];

const FORMATS = ["raw", "qcow", "qcow2", "vhd", "empty", "qed"];

function set(state: State, name: string, value: string, item = name) {
  if (state.disk[name]) state.errors.push(`${item} respecified`);
  else state.disk[name] = value;
}

function choose(state: State, name: string, value: string, words: string[], item = name) {
  if (!words.includes(value)) state.errors.push(`unknown value for ${item}`);
  else if (state.disk[name] !== undefined && state.disk[name] !== value) {
    state.errors.push(`${name} respecified`);
  } else state.disk[name] = value;
}

function format(state: State, value: string) {
  choose(state, "format", value || "raw", FORMATS);
}

function access(state: State, value: string) {
  if (["r", "ro"].includes(value)) state.disk["readwrite"] = 0;
  else if (["w", "rw", ""].includes(value)) state.disk["readwrite"] = 1;
  else state.errors.push("unknown value for access");
}

function oldVdev(state: State, text: string): boolean {
  const parts = text.split(":");
  if (parts.length === 1) return false;
  const type = parts.pop()!;
  set(state, "vdev", parts.join(":"));
  if (type === "cdrom" || type === "disk") state.disk["is_cdrom"] = type === "cdrom";
  else state.errors.push("unknown deprecated type");
  return true;
}

function positional(state: State, text: string): boolean | void {
  const { disk } = state;
  if (state.errors.length > 0) return;
  if (!("target" in disk)) set(state, "target", text);
  else if (!state.hadPrefix && !("format" in disk)) {
    if (disk["target"] === "" && oldVdev(state, text)) disk["format"] = "empty";
    else format(state, text);
  } else if (!("vdev" in disk)) {
    if (!oldVdev(state, text)) set(state, "vdev", text);
  } else if (!state.hadAccess) {
    state.hadAccess = true;
    access(state, text);
  } else {
    state.errors.push("too many positional parameters");
    return false;
  }
}

const rule = (pattern: string, act: Rule[2]): Rule => {
  const regexp = new RegExp(pattern, "y");
  return [regexp, regexp, act];
};
const headed = (taken: string, counted: string, act: Rule[2]): Rule => [
  new RegExp(taken, "y"),
  new RegExp(taken + counted, "y"),
  act,
];
/** A parameter: its value, without the comma, goes to `act`. */
const parameter = (name: string, act: (state: State, value: string) => void): Rule =>
  rule(`${name}=[^,]*,?`, (state, text) => act(state, text.replace(/,$/, "").replace(/^.*?=/, "")));
const kept = (name: string): Rule => parameter(name, (state, value) => set(state, name, value));
const flag = (pattern: string, name: string, value: boolean): Rule =>
  rule(`${pattern},?`, (state) => void (state.disk[name] = value));
const rest = "[^\\n]*";

const RULES: Rule[] = [
  headed("[ \\t\\n]+", `(?:[^ \\t\\n]${rest})?`, () => {}),
  parameter("format", format),
  flag("cdrom", "is_cdrom", true),
  flag("devtype=cdrom", "is_cdrom", true),
  flag("devtype=disk", "is_cdrom", false),
  rule("devtype=[^,]*,?", (state) => void state.errors.push("unknown value for type")),
  parameter("access", access),
  kept("backend"),
  parameter("backendtype", (state, value) => {
    const words = ["phy", "tap", "qdisk", "standalone"];
    if (!words.includes(value)) state.errors.push("unknown value for backendtype");
    else if (![undefined, value].includes(state.disk["backendtype"] as string)) {
      state.errors.push("backend respecified");
    } else state.disk["backendtype"] = value;
  }),
  parameter(
    "specification",
    (state, value) => choose(state, "specification", value, ["xen", "virtio"]),
  ),
  kept("vdev"),
  kept("script"),
  flag("direct-io-safe", "direct_io_safe", true),
  flag("discard", "discard", true),
  flag("no-discard", "discard", false),
  flag("trusted", "trusted", true),
  flag("untrusted", "trusted", false),
  flag("grant_usage=0", "grant_usage", false),
  flag("grant_usage=1", "grant_usage", true),
  flag("colo", "colo", true),
  flag("no-colo", "colo", false),
  kept("colo-host"),
  parameter("colo-port", (state, value) => {
    const port = /^\d+$/.test(value) ? Number(value) : 0;
    if (port > 0 && port < 65536) state.disk["colo-port"] = port;
    else state.errors.push("unknown value for colo_port");
  }),
  kept("colo-export"),
  kept("active-disk"),
  kept("hidden-disk"),
  rule(`target=${rest}`, (state, text) => set(state, "target", text.slice(7).replace(/,$/, ""))),
  rule("[a-z][-a-z0-9]*=[^,],?", (state) => void state.errors.push("unknown parameter")),
  headed("(?:raw|qcow2?|vhd):", rest, (state, text) => {
    state.hadPrefix = true;
    format(state, text.slice(0, -1));
  }),
  headed("(?:iscsi|e?nbd|drbd):", rest, (state, text) => {
    state.hadPrefix = true;
    set(state, "script", `block-${text.slice(0, -1)}`);
  }),
  headed("(?:tapdisk|tap2?|aio|ioemu|file|phy):", rest, (state) => void (state.hadPrefix = true)),
  headed("[a-z][a-z0-9]*:", `(?:[^a-z0-9]${rest})?`, (state) => {
    state.errors.push("unknown deprecated disk prefix");
    return false;
  }),
  rule("[^=,]*,|[^=,]+,?", (state, text) => positional(state, text.replace(/,$/, ""))),
  headed("[^\\n]", "", (state) => {
    state.errors.push("bad disk syntax");
    return false;
  }),
];

/** The disk, or all that is wrong with it; the first error is first. */
export function naiveDisk(texts: readonly string[]): { disk: NaiveDisk } | { errors: string[] } {
  const state: State = { disk: {}, errors: [], hadPrefix: false, hadAccess: false };
  const { disk, errors } = state;
  for (const text of texts) {
    readText(state, text);
    if (errors.length > 0) return { errors };
  }
  disk["format"] ??= "raw";
  disk["readwrite"] ??= 1;
  if (disk["is_cdrom"]) {
    disk["readwrite"] = 0;
    if (!disk["target"]) disk["format"] = "empty";
  }
  if (!("vdev" in disk)) return { errors: ["no vdev specified"] };
  if (!("target" in disk) && !disk["is_cdrom"]) {
    return { errors: ["no target specified (and device not removable)"] };
  }
  // Ours alone: no control characters in values.
  // deno-lint-ignore no-control-regex
  if (Object.values(disk).some((value) => /[\x00-\x08\n-\x1f\x7f]/.test(String(value)))) {
    return { errors: ["bad disk syntax"] };
  }
  return { disk };
}

function readText(state: State, text: string): void {
  for (let at = 0; at < text.length;) {
    let best: { length: number; taken: number; act: Rule[2] } | undefined;
    for (const [taken, counted, act] of RULES) {
      const [whole, head] = [matchAt(counted, text, at), matchAt(taken, text, at)];
      if (whole <= (best?.length ?? 0)) continue;
      best = { length: whole, taken: head, act };
    }
    if (best!.act(state, text.slice(at, at + best!.taken)) === false) return;
    at += best!.taken;
  }
}

/** Length of a match at a position; 0 for none. */
function matchAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}
