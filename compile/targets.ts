/** What the program can be compiled for, and the runtimes for that, from npm. */

/** A kind of machine. */
export interface Target {
  readonly name: string;
  /** The runtime's package. */
  readonly package: string;
  /** What npm has to find in it (`npm view PACKAGE@VERSION dist.integrity`). */
  readonly integrity: string;
  /** The runtime's own name of the target. */
  readonly bunTarget: string;
}

/** The runtime's version; must be the one in package.json. */
export const RUNTIME_VERSION = "1.4.5";

/**
 * All of them. With this version of the runtime each `baseline` (any x86-64 processor, no AVX2
 * needed) has the same bytes as its twin without that word.
 */
export const TARGETS: readonly Target[] = [
  target(
    "linux-x64",
    "linux-x64",
    "sha512-IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==",
  ),
  target(
    "linux-x64-baseline",
    "linux-x64-baseline",
    "sha512-s8yMwYcFnnrA178gji0gZbkE2WVDej/Ti1x770oPfihxyRxSMNhGhiAQNXV53aDeraZxksdvKV/RAdQBCd0qPA==",
  ),
  target(
    "linux-arm64",
    "linux-aarch64",
    "sha512-4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==",
  ),
  target(
    "linux-x64-musl",
    "linux-x64-musl",
    "sha512-10QoW/YfTgnURaGEaHpJCiXjLI2e5iTtfVDaA5JKcyUzaa1cq6cVUY9/Uq5XkYzvtRjHLRe9Oj/lTDIQcxy8HQ==",
  ),
  target(
    "linux-x64-musl-baseline",
    "linux-x64-musl-baseline",
    "sha512-cWJhU8h0+MiUgpSt99sQhjxLIIosKEcKYdtKddohokUvAuN6jKOy7g7+QDTZTXtwHxz93wL3BX+L6wXVPDUH3A==",
  ),
  target(
    "linux-arm64-musl",
    "linux-aarch64-musl",
    "sha512-XCNc+WvvMAdNNb+OWTogpy+N9wm62fkVeEVLb6how0RZhW5LPi6c7BlkeVCuWps7XjEl2saFpHFa20/1E+PAHg==",
  ),
];

function target(name: string, runtime: string, integrity: string): Target {
  const bunTarget = `bun-${name.replace(/-musl-baseline$/, "-baseline-musl")}`;
  return { name, package: `@oven/bun-${runtime}`, integrity, bunTarget };
}

/**
 * The targets of a list with commas.
 * @throws Error for a name that is not one of those that there are
 */
export function targetsNamed(list: string, among: readonly Target[] = TARGETS): Target[] {
  return list.split(",").map((name) => {
    const found = among.find((candidate) => candidate.name === name);
    if (found !== undefined) return found;
    throw new Error(`--target ${name}: expected ${among.map((each) => each.name).join(", ")}`);
  });
}
