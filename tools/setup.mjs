// @ts-check
/**
 * Makes a fresh clone usable; the first thing every `npm run` command does. `--help` tells more.
 * Plain Node without dependencies, as there may be nothing else yet.
 */
import { setUpNodeModules } from "./setup_node.mjs";
import { setUpSystem } from "./setup_system.mjs";

const help = `npm run setup [-- OPTION]

Makes a fresh clone usable; the first thing every npm run command does. Fast and silent when there is
nothing to do.

  (none)         Bun, Deno and the libraries, from package-lock.json
  --system       also the Debian packages that the real tests need (as root)
  --system=xen   also those for booting a real Xen in QEMU
  --system=boot  also those for booting Debian with our packages in QEMU
  --help         this
`;

const options = process.argv.slice(2);
if (options.includes("--help")) {
  process.stdout.write(help);
  process.exit(0);
}
const known = ["--system", "--system=xen", "--system=boot"];
const unknown = options.filter((option) => !known.includes(option));
if (unknown.length > 0) {
  console.error(`setup: unknown option ${unknown.join(" ")}; there are ${known.join(", ")}`);
  process.exit(2);
}

if (!setUpNodeModules()) process.exit(1);
if (options.length > 0) {
  /** @type {("base" | "xen" | "boot")[]} */
  const groups = ["base"];
  if (options.includes("--system=xen")) groups.push("xen");
  if (options.includes("--system=boot")) groups.push("boot");
  // Without them the tests say what they cannot do; only CI must not go on like that.
  if (!setUpSystem(groups) && process.env["CI"] === "true") process.exit(1);
}
