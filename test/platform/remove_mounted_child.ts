/**
 * Removals of directories with mounts in them. To be run in a mount namespace of its own, with a
 * scratch directory as argument, in which everything that is mounted lies; prints a {@link Removal} for each.
 */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { systemFiles } from "../../platform/io/files.ts";

/** What became of it. */
export interface Removal {
  readonly what: string;
  /** Its error's code; null if there was none. */
  readonly code: string | null;
  /** Whether what must stay is there still, and whether the directory is. */
  readonly kept: boolean;
  readonly there: boolean;
  /** Whether what lies beside the mount is: nothing may be lost before a mount is seen. */
  readonly whole: boolean;
}

/** Files beside the mount. */
const BESIDE = Array.from({ length: 20 }, (_, number) => `beside${number}`);

if (import.meta.main) {
  const scratch = process.argv[2]!;
  const outcomes: Removal[] = [];
  let count = 0;
  const attempt = async (
    what: string,
    prepare: (state: string, precious: string) => void,
    place = "",
  ) => {
    const base = `${scratch}/${++count}`;
    const [state, precious] = [`${base}/state${place}`, `${base}/precious`];
    // Made first, and so listed first where lists are in the order of making.
    mkdirSync(state, { recursive: true });
    for (const name of BESIDE) writeFileSync(`${state}/${name}`, "");
    mkdirSync(`${state}/mounted`);
    mkdirSync(precious);
    writeFileSync(`${precious}/file`, "what nobody may lose");
    prepare(state, precious);
    const code = await systemFiles.remove(state).then(() => null, ({ code }) => String(code));
    outcomes.push({
      ...{ what, code },
      kept: existsSync(`${precious}/file`),
      there: existsSync(state),
      // What is mounted over it hides them.
      whole: place === "at" || BESIDE.every((name) => existsSync(`${state}/${name}`)),
    });
  };
  const mount = (...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(["mount", ...args]);
    if (exitCode !== 0) throw new Error(stderr.toString());
  };
  await attempt("nothing mounted", () => {});
  await attempt("a link", (state, precious) => symlinkSync(precious, `${state}/link`));
  await attempt(
    "another directory, bound",
    (state, precious) => mount("--bind", precious, `${state}/mounted`),
  );
  await attempt(
    "… at the directory itself",
    (state, precious) => mount("--bind", precious, state),
    "at",
  );
  await attempt("… in a directory whose name has a blank", (state, precious) => {
    mkdirSync(`${state}/a b`);
    mount("--bind", precious, `${state}/a b`);
  }, " x");
  await attempt("… and a file", (state, precious) => {
    writeFileSync(`${state}/file`, "");
    mount("--bind", `${precious}/file`, `${state}/file`);
  });
  await attempt(
    "a file system in memory",
    (state) => mount("-t", "tmpfs", "x", `${state}/mounted`),
  );
  await attempt("what is seen through a link above", (state, precious) => {
    mount("--bind", precious, `${state}/mounted`);
  });
  // By another name: the kernel knows the directory by its own.
  mkdirSync(`${scratch}/by`);
  symlinkSync(`${scratch}/${count}`, `${scratch}/by/link`);
  const code = await systemFiles.remove(`${scratch}/by/link/state`)
    .then(() => null, ({ code }) => String(code));
  const kept = existsSync(`${scratch}/${count}/precious/file`);
  outcomes.push({ what: "the same, by that name", code, kept, there: true, whole: true });
  console.log(JSON.stringify(outcomes));
}
