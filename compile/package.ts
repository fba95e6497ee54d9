/** `npm run package`: Debian packages. `--help` tells how. */
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import manifest from "../package.json" with { type: "json" };
import { builtIns } from "../built_in.ts";
import { install, MANIFEST_PATH } from "../commands/install/place_entries.ts";
import { type Entry, layout, MANUALS } from "../commands/install/layout.ts";
import { manualPages } from "../commands/manual/pages.ts";
import { makeProgram } from "../commands/program.ts";
import { placeMade } from "../platform/io/place_files.ts";
import { commandLine } from "../tools/command_line.ts";
import { type Binary, FULL, SMALL } from "./binaries.ts";
import { chosenTargets } from "./chosen_targets.ts";
import { control, type Description } from "./debian_control.ts";
import { run } from "./check/foreign.ts";
import { writeBill } from "./papers.ts";
import { MissingPart } from "./small/missing.ts";
import { commit, type Order } from "./sources.ts";
import { type Target, TARGETS } from "./targets.ts";

const help = `npm run package [-- OPTIONS]

Makes Debian packages: xdevd, which is the small binary; xdevd-full, which is the full one and can take
its place; and xdevd-xenstore-tools, whose links stand in for Debian's xenstore-utils. Needs dpkg-deb,
and what npm run compile -- --small needs. DEBFULLNAME and DEBEMAIL name the maintainer; the same
commit gives the same bytes. The status is 1 if that fails, 2 for a wrong command line.

  --target TARGET,…  for these machines (${
  TARGETS.map(({ name }) => name).join(", ")
}; default: all)
  --outdir DIR       in place of dist
  --help             this
`;

const { values } = commandLine("package", help, {
  options: {
    target: { type: "string", default: TARGETS.map(({ name }) => name).join(",") },
    outdir: { type: "string", default: "dist" },
  },
});

const { DEBFULLNAME = "xdevd developers", DEBEMAIL = "xdevd@example.org" } = process.env;
const maintainer = `${DEBFULLNAME} <${DEBEMAIL}>`;
const epoch = process.env["SOURCE_DATE_EPOCH"] ?? commitTime();

const manual = manualPages(
  makeProgram(builtIns, [], () => {}, { print() {}, width: () => 80 }).data,
);

const targets = chosenTargets("package", values.target);

/** What differs between the two. */
const ABOUT = {
  small: {
    depends: null,
    other: FULL.name,
    summary: "device daemon for Xen driver domains",
    text: [
      "Serves disks, network interfaces and other devices of a Xen driver domain",
      'to guests, in place of "xl devd": it needs nothing of Xen\'s toolstack, runs',
      "its hotplug scripts where they are, and does their work itself elsewhere.",
    ],
  },
  full: {
    depends: "libc6 (>= 2.17)",
    other: SMALL.name,
    summary: "device daemon for Xen driver domains, with plugins in TypeScript",
    text: [
      "Serves disks, network interfaces and other devices of a Xen driver domain",
      'to guests, in place of "xl devd". The package xdevd does the same, and is far',
      "smaller; this one brings the runtime that runs plugins in TypeScript as they",
      "are, bundles them, and draws.",
    ],
  },
} as const;

try {
  fs.mkdirSync(values.outdir, { recursive: true });
  for (const target of targets) {
    for (const binary of [SMALL, FULL]) await packageFor(binary, target);
  }
  await packageTools();
} catch (error) {
  console.error(`package: ${(error as Error).message}`);
  process.exit(1);
}

async function packageFor(binary: Binary, target: Target): Promise<void> {
  const { depends, other, summary, text } = ABOUT[binary.size];
  await inScratch(async (root) => {
    const outfile = join(root, "..", "xdevd");
    const plugins = builtIns.map((builtIn) => builtIn.manifest.name);
    const inputs = await built(binary, { outfile, plugins, target });
    const entries = layout({
      links: false,
      services: ["systemd", "sysv"],
      initramfs: ["initramfs-tools", "dracut"],
      manual,
      compiles: binary === FULL,
    });
    await install({ root, entries, binary: outfile, version: manifest.version });
    fs.rmSync(join(root, MANIFEST_PATH));
    const sbom = writeBill(binary, outfile, inputs, target, plugins);
    put(root, `usr/share/doc/${binary.name}/sbom.cdx.json`, fs.readFileSync(sbom));
    const rules = "packaging/prometheus/xdevd.rules.yml";
    put(root, `usr/share/doc/${binary.name}/examples/xdevd.rules.yml`, fs.readFileSync(rules));
    for (const { path } of entries.filter(({ path }) => path.startsWith(`${MANUALS}/`))) {
      put(root, `${path.slice(1)}.gz`, zipped(fs.readFileSync(join(root, path))));
      fs.rmSync(join(root, path));
    }
    // What `--json` prints, as the help says.
    for (const schema of fs.readdirSync("docs/schemas").sort()) {
      const text = fs.readFileSync(`docs/schemas/${schema}`);
      put(root, `usr/share/doc/${binary.name}/schemas/${schema}`, text);
    }
    await finish(root, {
      name: binary.name,
      architecture: target.debian,
      depends,
      fields: {
        Recommends: "kmod",
        Suggests: "swtpm, xen-utils-common",
        Conflicts: other,
        Replaces: other,
      },
      summary,
      text,
    }, entries);
  });
}

async function built(binary: Binary, order: Order & { target: Target }) {
  try {
    return await binary.build(order);
  } catch (error) {
    if (!(error instanceof MissingPart)) throw error;
    throw new Error(`${binary.name} for ${order.target.name} is not made: ${error.message}`);
  }
}

/** Links only, for all machines. */
function packageTools(): Promise<void> {
  return inScratch(async (root) => {
    const links = layout({ links: true, services: [], initramfs: [] })
      .filter((entry) => entry.kind === "link");
    const manuals = join(root, "usr/share/man/man1");
    fs.mkdirSync(manuals, { recursive: true });
    for (const { path, target } of links) {
      fs.mkdirSync(join(root, path, ".."), { recursive: true });
      fs.symlinkSync(target, join(root, path));
      fs.symlinkSync("../man8/xdevd.8.gz", join(manuals, `${path.split("/").at(-1)}.1.gz`));
    }
    await finish(root, {
      name: "xdevd-xenstore-tools",
      architecture: "all",
      depends: [SMALL, FULL].map(({ name }) => `${name} (>= ${manifest.version})`).join(" | "),
      fields: {
        Provides: "xenstore-utils",
        Conflicts: "xenstore-utils",
        Replaces: "xenstore-utils",
      },
      summary: "xenstore-read and its like, by xdevd",
      text: [
        "Hotplug scripts call xenstore-read, xenstore-write and their like. With this",
        "package xdevd does their work, and xenstore-utils is not needed.",
      ],
    }, []);
  });
}

async function finish(
  root: string,
  description: Description,
  entries: readonly Entry[],
): Promise<void> {
  const { name, architecture } = description;
  const version = manifest.version;
  const documents = `usr/share/doc/${name}`;
  put(root, `${documents}/copyright`, fs.readFileSync("packaging/debian/copyright"));
  put(root, `${documents}/changelog.gz`, zipped(changelog(name)));
  const meta = (file: string) => `packaging/debian/${file}`;
  if (fs.existsSync(meta(`${name}.lintian-overrides`))) {
    const overrides = fs.readFileSync(meta(`${name}.lintian-overrides`));
    put(root, `usr/share/lintian/overrides/${name}`, overrides);
  }
  const sums = filesBelow(root).map((file) =>
    `${createHash("md5").update(fs.readFileSync(join(root, file))).digest("hex")}  ${file}\n`
  );
  const kilobytes = filesBelow(root).reduce(
    (sum, file) => sum + Math.ceil(fs.statSync(join(root, file)).size / 1024),
    0,
  );
  const config = entries.filter((entry) => entry.kind === "file" && entry.config);
  put(root, "DEBIAN/control", control(description, { version, maintainer, kilobytes }));
  put(root, "DEBIAN/md5sums", sums.join(""));
  if (config.length > 0) {
    put(root, "DEBIAN/conffiles", config.map(({ path }) => `${path}\n`).join(""));
  }
  if (architecture !== "all") {
    for (const script of ["postinst", "prerm", "postrm"]) {
      put(root, `DEBIAN/${script}`, fs.readFileSync(meta(script)), 0o755);
    }
  }
  const file = join(values.outdir, `${name}_${version}_${architecture}.deb`);
  await placeMade(file, (temporary) => {
    // Its own times are those of the files.
    const result = spawnSync("dpkg-deb", ["--root-owner-group", "--build", root, temporary], {
      encoding: "utf8",
      env: { ...process.env, SOURCE_DATE_EPOCH: epoch },
    });
    if (result.status === 0) return;
    const how = result.stderr?.trim() || `it ended with ${result.signal ?? result.status}`;
    throw new Error(`dpkg-deb: ${result.error?.message ?? how}`);
  });
  console.log(`${file}: ${(fs.statSync(file).size / 1e6).toFixed(1)} MB`);
}

function changelog(name: string): string {
  const date = new Date(Number(epoch) * 1000).toUTCString().replace("GMT", "+0000");
  return `${name} (${manifest.version}) unstable; urgency=medium\n\n` +
    `  * Built from commit\n    ${commit() ?? "unknown"}.\n\n` +
    ` -- ${maintainer}  ${date}\n`;
}

/** Regular files, sorted, but those of DEBIAN. */
function filesBelow(root: string): string[] {
  return fs.readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => !file.startsWith("DEBIAN") && fs.lstatSync(join(root, file)).isFile())
    .sort();
}

function put(root: string, file: string, content: Uint8Array | string, mode = 0o644): void {
  fs.mkdirSync(join(root, file, ".."), { recursive: true });
  fs.writeFileSync(join(root, file), content);
  fs.chmodSync(join(root, file), mode);
}

/** Without a date. */
function zipped(content: Uint8Array | string): Uint8Array {
  return gzipSync(content, { level: 9 });
}

function commitTime(): string {
  return run(["git", "log", "-1", "--format=%ct"]).trim();
}

async function inScratch(make: (root: string) => Promise<void> | void): Promise<void> {
  const scratch = fs.mkdtempSync(join(tmpdir(), "xdevd-package-"));
  try {
    const root = join(scratch, "root");
    fs.mkdirSync(root);
    fs.chmodSync(root, 0o755);
    await make(root);
  } finally {
    fs.rmSync(scratch, { recursive: true });
  }
}
