/** What of the sources differs from build to build. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Target } from "./targets.ts";

/** What to build. */
export interface Order {
  readonly outfile: string;
  /** Names of the backends that are built in. */
  readonly plugins: readonly string[];
  /** Null: for this machine. */
  readonly target: Target | null;
  /** No other command than the daemon, its version, and the xenstore tools. */
  readonly onlyDevd?: boolean;
}

/** `built_in.ts`, with these backends only. */
export function builtInsSource(chosen: readonly string[]): string {
  const lines = chosen.map((name, index) =>
    `import { manifest as m${index} } from "./backends/${name}/manifest.ts";`
  );
  const entries = chosen.map((name, index) =>
    `{ manifest: m${index}, load: async () => ` +
    `(await import("./backends/${name}/plugin.ts")).default${serverOf(name)} },`
  );
  return `${lines.join("\n")}\nexport const builtIns = [\n${entries.join("\n")}\n];\n`;
}

/** How to get at a backend's server, of one that has one. */
function serverOf(name: string): string {
  const file = `backends/${name}/server.ts`;
  if (!existsSync(file)) return "";
  return `, openServer: async () => (await import("./${file}")).openServer`;
}

/** `commands/commands.ts`, with the daemon only. */
export const ONLY_DEVD = `import { addDevd } from "./devd/program.ts";
export function addCommands({ program, storeOption, builtIns, args, finish }) {
  addDevd(program, storeOption, builtIns, args, finish);
}
`;

/** The commit that this tree is at; null outside of git. */
export function commit(): string | null {
  const git = (...args: string[]) => spawnSync("git", args, { encoding: "utf8" });
  const head = git("rev-parse", "HEAD");
  if (head.status !== 0) return null;
  const changes = git("status", "--porcelain", "--untracked-files=no").stdout.trim();
  return head.stdout.trim() + (changes === "" ? "" : "-modified");
}
