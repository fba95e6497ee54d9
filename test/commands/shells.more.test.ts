/** Completions in a real zsh and fish, and manual pages by mandoc: unpacked from Debian's packages, never installed. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtIns } from "../../built_in.ts";
import { manualPages } from "../../commands/manual/pages.ts";
import { makeProgram } from "../../commands/program.ts";
import { unpacked } from "../../compile/check/foreign.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import { requireReal } from "../real/requirements.ts";
import { programCommand } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { connectTo } from "../support/store_connection.ts";

setDefaultTimeout(60_000);

const PACKAGES = ["zsh", "zsh-common", "fish", "fish-common", "libpcre2-32-0", "mandoc"];

/** Where they are unpacked, and why they cannot be. */
function parts(): { root: string; lacking: string | null } {
  if (!existsSync("/usr/bin/apt-get")) return { root: "", lacking: "apt-get" };
  try {
    const architecture = spawnSync("dpkg", ["--print-architecture"], { encoding: "utf8" });
    return { root: unpacked(architecture.stdout.trim(), PACKAGES), lacking: null };
  } catch (error) {
    const lacking = `Debian's zsh, fish, mandoc (${(error as Error).message.split("\n").at(-1)})`;
    return { root: "", lacking };
  }
}

const { root, lacking } = parts();
if (requireReal("completions in zsh and fish", { lacking, packages: ["util-linux"] })) {
  describe("shells", () => {
    let directory: string;
    let store: EmbeddedStore;

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), "xdevd-shells-"));
      store = await startEmbeddedStore([7]);
      const dom0 = await connectTo(store.socketPath(0));
      await createDomain0(dom0);
      await createDomainHome(dom0, { domid: 7, name: "web" });
      dom0.close();
      const words = programCommand().map((word) => `'${word}'`).join(" ");
      mkdirSync(join(directory, "bin"));
      writeFileSync(
        join(directory, "bin/xdevd"),
        `#!/bin/sh\ncase $1 in complet*) exec ${words} "$@" ;; esac\necho "ran: $*"\n`,
      );
      chmodSync(join(directory, "bin/xdevd"), 0o755);
      mkdirSync(join(directory, "images"));
      writeFileSync(join(directory, "images/web.img"), "");
    });

    afterAll(async () => {
      await store.stop();
      rmSync(directory, { recursive: true });
    });

    const environment = () => ({
      PATH: `${directory}/bin:${process.env["PATH"]}`,
      XENSTORED_PATH: store.socketPath(0),
      LD_LIBRARY_PATH: globSync(`${root}/usr/lib/*-linux-gnu*`).join(":"),
      TERM: "dumb",
      HOME: directory,
      PS1: "ready> ",
    });

    /** Runs a program in the test's directory. */
    async function run(command: string[], input = ""): Promise<string> {
      const [file = "", ...args] = command;
      const child = spawn(file, args, { env: environment(), cwd: directory });
      let shown = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk) => shown += chunk);
      }
      child.stdin.end(input);
      await new Promise((resolve) => child.once("close", resolve));
      return shown;
    }

    test("zsh, at a terminal, by the tab key", async () => {
      const [modules] = globSync(`${root}/usr/lib/*/zsh/*`);
      const functions = `${root}/usr/share/zsh/functions`;
      const lines = [
        `module_path=(${modules}); fpath=(${functions}/*(/) ${functions} ` +
        `${functions}/Completion/*(/)); autoload -Uz compinit; compinit -u -D; ` +
        "source <(xdevd completion zsh); unsetopt beep listbeep",
        "xdevd block-det\tweb xvdb --fo\t",
        "xdevd block-attach w\tvdev=xvdc,form\traw",
        "xdevd give\t--run-dir=im\t",
        "xdevd devd --config im\tw\t",
        "xdevd devd --log-level=w\t",
        "exit",
      ];
      const shown = await run(
        ["script", "-qec", `${root}/bin/zsh -f -i`, "/dev/null"],
        `${lines.join("\n")}\n`,
      );
      for (
        const ran of [
          "block-detach web xvdb --force",
          "block-attach web vdev=xvdc,format=raw",
          "give-up --run-dir=images",
          "devd --config images/web.img",
          "devd --log-level=warning",
        ]
      ) expect(shown).toContain(`ran: ${ran}\r\n`);
    });

    test.each(
      [
        ["xdevd block-det", ["block-detach\ttake a disk from a guest"]],
        ["xdevd list w", ["web\tdomain 7"]],
        ["xdevd devd --log-level=d", ["--log-level=debug"]],
        ["xdevd devd --config ima", ["images/"]],
        ["xdevd devd --config=images/", ["--config=images/web.img"]],
        ["xdevd block-attach web vdev=xvda,form", ["vdev=xvda,format="]],
        ["xdevd frobnicate --f", []],
      ] as const,
    )("fish: %s", async (line, expected) => {
      const script = `set fish_function_path ${root}/usr/share/fish/functions\n` +
        `source (xdevd completion fish | psub)\ncomplete -C '${line}'\n`;
      const shown = await run([`${root}/usr/bin/fish`, "--no-config", "-c", script]);
      const lines = shown.split("\n").filter((text) => text !== "");
      // What it says of a file is its own.
      expect(lines.map((text) => text.replace(/(\/|\.img)\t.*$/, "$1"))).toEqual([...expected]);
    });

    test("mandoc has nothing to complain of in a manual page, but that it has no date", () => {
      const program = makeProgram(builtIns, [], () => {}, { print() {}, width: () => 80 }).data;
      for (const [name, page] of manualPages(program)) {
        const file = join(directory, `${name}.8`);
        writeFileSync(file, page);
        const args = ["-T", "lint", "-W", "warning", file];
        const { stdout } = spawnSync(`${root}/usr/bin/mandoc`, args, { encoding: "utf8" });
        const complaints = stdout.split("\n").filter((line) => line !== "");
        expect(complaints.filter((line) => !line.includes("missing date"))).toEqual([]);
        expect(complaints).toHaveLength(1);
      }
    });
  });
}
