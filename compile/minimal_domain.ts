/** `npm run minimal-domain`: a complete first file system for a driver domain. `--help` tells how. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { placeCopy, placeText } from "../platform/io/place_files.ts";
import { commandLine } from "../tools/command_line.ts";
import type { Archive } from "./image/cpio.ts";
import { ImageError } from "./image/image_error.ts";
import { type Kernel, kernelPackage, unpackKernel } from "./image/kernel.ts";
import { minimalDomain, stockDomain } from "./minimal/archive.ts";
import { compress, costTable, weigh, type Weight, withTable } from "./minimal/cost.ts";

const here = dirname(fileURLToPath(import.meta.url));
const project = resolve(here, "..");
const dist = join(project, "dist");

const help = `npm run minimal-domain [-- OPTIONS]

Makes dist/minimal-domain.cpio.zst, a complete first file system for a driver domain: Debian's kernel
modules for disks and network interfaces, busybox, dist/xdevd-minimal (the small binary, compiled now,
with the daemon, vbd and vif only), and an init of a few lines; beside it the kernel,
dist/minimal-domain.vmlinuz. On Debian 12.
The status is 1 if that fails, 2 for a wrong command line.

  --outfile FILE     where the file system goes, compressed
  --module NAME      one more kernel module, with what it needs; may be repeated
  --setup FILE       shell text that is run before the daemon, in place of compile/minimal/setup
  --modules DIR      /lib/modules/RELEASE of another kernel, in place of the one that apt fetches
  --daemon FILE      the compiled daemon, in place of compiling it
  --compare          also makes the same with xl devd and its scripts, and shows both (needs xen-utils)
  --readme           --compare, and writes the table to README.md
  --help             this
`;

const { values: options } = commandLine("minimal-domain", help, {
  options: {
    outfile: { type: "string", default: join(dist, "minimal-domain.cpio.zst") },
    module: { type: "string", multiple: true, default: [] },
    setup: { type: "string" },
    modules: { type: "string" },
    daemon: { type: "string" },
    compare: { type: "boolean", default: false },
    readme: { type: "boolean", default: false },
  },
});

try {
  main();
} catch (error) {
  if (!(error instanceof ImageError) && (error as { code?: unknown }).code === undefined) {
    throw error;
  }
  console.error(`minimal-domain: ${(error as Error).message}`);
  process.exitCode = 1;
}

function main(): void {
  fs.mkdirSync(dist, { recursive: true });
  const kernel = chosenKernel();
  const daemon = options.daemon ?? compileDaemon();
  const parts = {
    kernel,
    modules: options.module,
    ...(options.setup === undefined ? {} : { setup: fs.readFileSync(options.setup, "utf8") }),
  };
  const ours = made(minimalDomain({ ...parts, daemon }), options.outfile);
  if (!options.compare && !options.readme) return;
  const table = costTable(ours, made(stockDomain(parts)));
  console.log(table.join("\n"));
  if (!options.readme) return;
  const readme = join(project, "README.md");
  placeText(readme, withTable(fs.readFileSync(readme, "utf8"), table), 0o644);
}

function chosenKernel(): Pick<Kernel, "modules" | "release"> {
  if (options.modules !== undefined) {
    const modules = resolve(options.modules);
    return { modules, release: basename(modules) };
  }
  const packed = kernelPackage();
  const kernel = unpackKernel(packed, join(dist, `kernel-${packed.version}`), console.log);
  placeCopy(join(dist, "minimal-domain.vmlinuz"), kernel.packed, 0o644);
  console.log(`dist/minimal-domain.vmlinuz: Linux ${kernel.release}`);
  return kernel;
}

function compileDaemon(): string {
  const outfile = join(dist, "xdevd-minimal");
  const compiler = join(here, "compile.ts");
  const args = [compiler, "--small", "--only", "devd", "--with", "vbd,vif", "--outfile", outfile];
  const { status } = spawnSync(process.execPath, args, { cwd: project, stdio: "inherit" });
  if (status !== 0) throw new ImageError("the daemon cannot be compiled");
  return outfile;
}

/** Weighs an archive, and writes it to a file if one is named. */
function made(archive: Archive, file?: string): Weight {
  const bytes = archive.toBytes();
  const compressed = compress(bytes);
  const weight = weigh(archive, bytes, compressed);
  if (file !== undefined) {
    fs.mkdirSync(dirname(file), { recursive: true });
    placeText(file, compressed, 0o644);
    const megabytes = (size: number) => (size / 1e6).toFixed(1);
    console.log(
      `${file}: ${megabytes(compressed.length)} MB, ` +
        `unpacked ${megabytes(bytes.length)} MB, ${weight.files} files`,
    );
  }
  return weight;
}
