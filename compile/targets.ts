/** What the program can be compiled for, and what each of its two binaries takes for that. */

/** The full binary's runtime, from npm. */
export interface Runtime {
  /** Its package. */
  readonly package: string;
  /** What npm has to find in it (`npm view PACKAGE@VERSION dist.integrity`). */
  readonly integrity: string;
  /** Its own name of the target. */
  readonly target: string;
}

/** A kind of machine. */
export interface Target {
  readonly name: "linux-x64" | "linux-arm64";
  /** Node's name of the processor. */
  readonly processor: "x64" | "arm64";
  /** Debian's name of the machine. */
  readonly debian: "amd64" | "arm64";
  /** As the names of its compiler and its C libraries' directories begin. */
  readonly triplet: "x86_64-linux" | "aarch64-linux";
  readonly runtime: Runtime;
}

/** The version of the full binary's runtime; must be the one in package.json. */
export const RUNTIME_VERSION = "1.4.5";

/**
 * All of them. The full binary needs glibc. Where there is none, the small one runs, which is static;
 * so the runtime's builds for musl are not among these. Neither are those named `baseline`, which
 * with this version of the runtime have the same bytes as their twins without that word.
 */
export const TARGETS: readonly Target[] = [
  {
    name: "linux-x64",
    processor: "x64",
    debian: "amd64",
    triplet: "x86_64-linux",
    runtime: {
      package: "@oven/bun-linux-x64",
      integrity:
        "sha512-IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==",
      target: "bun-linux-x64",
    },
  },
  {
    name: "linux-arm64",
    processor: "arm64",
    debian: "arm64",
    triplet: "aarch64-linux",
    runtime: {
      package: "@oven/bun-linux-aarch64",
      integrity:
        "sha512-4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==",
      target: "bun-linux-arm64",
    },
  },
];

/**
 * The targets of a list with commas, each once.
 * @throws Error for a name that is not one of those that there are
 */
export function targetsNamed(list: string, among: readonly Target[] = TARGETS): Target[] {
  return [...new Set(list.split(","))].map((name) => {
    const found = among.find((candidate) => candidate.name === name);
    if (found !== undefined) return found;
    throw new Error(
      `--target ${name}: expected ${among.map((each) => each.name).join(", ")}`,
    );
  });
}

/**
 * The target that is this machine.
 * @throws Error where there is none
 */
export function thisMachine(): Target {
  const found = TARGETS.find(({ processor }) => processor === process.arch);
  if (process.platform === "linux" && found !== undefined) return found;
  const names = TARGETS.map(({ name }) => name).join(", ");
  throw new Error(`this machine is ${process.platform}-${process.arch}: expected ${names}`);
}
