/** What a shell completes: by the words alone, by a store, and by a real bash at a terminal. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtIns } from "../../built_in.ts";
import { wordsOfLine } from "../../commands/completion/complete.ts";
import { SCRIPTS } from "../../commands/completion/scripts.ts";
import { wanted } from "../../commands/completion/wanted.ts";
import { SHELLS } from "../../commands/completion/shells.ts";
import { makeProgram } from "../../commands/program.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import { programCommand, runProgram } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { connectTo } from "../support/store_connection.ts";

setDefaultTimeout(30_000);

const program = makeProgram(builtIns, [], () => {}, { print() {}, width: () => 80 }).data;

let directory: string;
let store: EmbeddedStore;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-completion-"));
  store = await startEmbeddedStore([1, 7, 8]);
  const dom0 = await connectTo(store.socketPath(0));
  await createDomain0(dom0);
  await createDomainHome(dom0, { domid: 1, name: "storage", driverDomain: true });
  await createDomainHome(dom0, { domid: 7, name: "web" });
  await createDomainHome(dom0, { domid: 8, name: "$(touch hacked) \x1b[2J" });
  dom0.close();
  for (const spec of ["vdev=xvda", "vdev=xvdb"]) {
    const args = ["block-attach", "web", `${spec},backend=storage,target=/x`, "--wait", "created"];
    const { code, stderr } = await runProgram([...args, "--store", store.socketPath(0)]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  }
  // As it is installed.
  const [file, ...before] = programCommand();
  const words = [file, ...before].map((word) => `'${word}'`).join(" ");
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

describe("by the words", () => {
  const known = (...words: string[]) => wanted(program, words).known.map(([word]) => word);
  const sources = (...words: string[]) => wanted(program, words).sources;

  test("commands, and those below one", () => {
    expect(known("")).toContain("block-attach");
    expect(known("")).not.toContain("complete");
    expect(known("store", "")).toContain("watch");
    expect(known("store", "read", "")).toEqual([]);
  });

  test("options: those of the command that are not there yet, or may be repeated", () => {
    const options = known("devd", "-F", "--plugin", "x", "-");
    expect(options).toEqual(expect.arrayContaining(["--pidfile", "--plugin", "--help"]));
    expect(options).not.toContain("--foreground");
    expect(known("list", "--")).not.toContain("--scripts");
    expect(known("devd", "--", "--")).toEqual([]);
  });

  test("an option's values, in either way that it can have them", () => {
    expect(known("devd", "--log-level", "")).toEqual(["debug", "info", "warning", "error"]);
    expect(wanted(program, ["devd", "--log-level=in"])).toMatchObject({
      ...{ fixed: "--log-level=", typed: "in" },
      known: expect.arrayContaining([["info", ""]]),
    });
    expect(known("devd", "--time", "")).toContain("hotplug=");
    expect(known("install", "--service", "")).toEqual(["systemd", "openrc", "sysv"]);
    expect(sources("devd", "-p", "")).toEqual([{ of: "file" }]);
    expect(sources("install", "--root=")).toEqual([{ of: "directory" }]);
    expect(sources("store", "watch", "-n5", "")).toEqual([{ of: "store path" }]);
    expect(sources("store", "watch", "-n", "")).toEqual([]);
    expect(known("devd", "-F", "--frob=")).toEqual([]);
  });

  test.each(
    [
      ["block-attach", { of: "domain", names: true }],
      ["block-attach web", { of: "specification", device: "disk" }],
      ["block-attach web vdev=xvda", { of: "specification", device: "disk" }],
      ["attach", { of: "device" }],
      ["attach vif", { of: "domain", names: true }],
      ["attach vif web", { of: "specification", device: "vif" }],
      ["block-detach --force web", { of: "guest's device", guest: "web", device: "disk" }],
      ["detach p9 web", { of: "guest's device", guest: "web", device: "p9" }],
      ["request detach disk 7", { of: "guest's device", guest: "7", device: "disk" }],
      ["prepare 7", { of: "guest's device", guest: "7", device: "disk" }],
      ["prepare", { of: "domain", names: false }],
      ["give-up", { of: "served" }],
      ["list web --json", { of: "domain", names: true }],
      ["plugin info", { of: "plugin" }],
      ["plugin bundle", { of: "file" }],
      ["xenstored --domain", { of: "domain", names: false }],
      ["devd --kind", { of: "kind", separator: "=" }],
      ["plugin new x --kind", { of: "kind", separator: "" }],
      ["store write", { of: "store path" }],
      ["status", { of: "served" }],
      ["trace", { of: "served" }],
      ["status --domain", { of: "domain", names: true }],
      ["vtpm show", { of: "vtpm", stateDir: "/var/lib/xdevd" }],
      ["vtpm delete --state-dir /kept", { of: "vtpm", stateDir: "/kept" }],
    ] as const,
  )("%s", (line, source) => {
    expect(wanted(program, [...line.split(" "), ""]).sources).toEqual([source]);
  });

  test("where the store is, if the line says so", () => {
    expect(wanted(program, ["list", "--store", "/a", ""]).store).toBe("/a");
    expect(wanted(program, ["list", "--store=/b", ""]).store).toBe("/b");
    expect(wanted(program, ["list", ""]).store).toBeUndefined();
  });

  test("a line's words, as a shell has them", () => {
    expect(wordsOfLine("xdevd ")).toEqual([""]);
    expect(wordsOfLine("xdevd li")).toEqual(["li"]);
    expect(wordsOfLine("./xdevd  store read 'a b' \"c d\" e\\ f ")).toEqual([
      ...["store", "read", "a b", "c d", "e f", ""],
    ]);
    expect(wordsOfLine("xdevd store read 'a b")).toEqual(["store", "read", "a b"]);
  });
});

describe("by the store", () => {
  const ask = async (line: string, domid = 0) => {
    const env = { XENSTORED_PATH: store.socketPath(domid) };
    const { code, stdout, stderr } = await runProgram(["complete", "--line", `xdevd ${line}`], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [also, ...lines] = stdout.trimEnd().split("\n");
    return { also, lines, words: lines.map((text) => text.split("\t")[0]) };
  };

  test("domains by name and domid; no name that a shell would take for more", async () => {
    const { lines } = await ask("list ");
    expect(lines).toContain("web\tdomain 7");
    expect(lines).toContain("7\tweb");
    expect(lines.filter((line) => line.startsWith("8\t"))).toHaveLength(1);
    expect(lines.join("")).not.toMatch(/touch.*\t/);
    expect(lines.join("")).not.toContain("\x1b");
    expect((await ask("prepare ")).words).not.toContain("web");
    expect((await ask("block-attach web vdev=xvdc,backend=st")).words).toEqual([
      "vdev=xvdc,backend=storage",
    ]);
  });

  test("devices of a guest", async () => {
    expect((await ask("block-detach web ")).words).toEqual(["xvda", "xvdb"]);
    expect((await ask("detach disk 7 xvdb")).lines).toEqual(["xvdb\tvbd 51728"]);
    expect((await ask("network-detach web ")).words).toEqual([]);
    expect((await ask("block-detach nobody ")).words).toEqual([]);
  });

  test("in a driver domain: what it serves", async () => {
    expect((await ask("give-up ", 1)).lines).toEqual(["vbd/7/51712\txvda", "vbd/7/51728\txvdb"]);
    expect((await ask("prepare ", 1)).words).toEqual(["7"]);
    expect((await ask("unprepare 7 ", 1)).words).toEqual(["xvda", "xvdb"]);
  });

  test("vTPMs that are kept", async () => {
    const uuid = "01234567-89ab-cdef-0123-456789abcdef";
    mkdirSync(join(directory, "state/vtpm", uuid), { recursive: true });
    expect((await ask(`vtpm show --state-dir ${directory}/state 0`)).words).toEqual([uuid]);
    expect((await ask(`vtpm create --state-dir ${directory}/state 0`)).words).toEqual([]);
  });

  test("paths of the store", async () => {
    expect((await ask("store ls /local/domain/7/na")).words).toEqual(["/local/domain/7/name"]);
    expect((await ask("store read dom", 7)).words).toEqual(["domid"]);
  });

  test("a store that is not there, or never answers, is not told of", async () => {
    const nobody = await runProgram(["complete", "--", "list", "--store", "/nothing", ""]);
    expect(nobody).toEqual({ code: 0, stdout: ":\n", stderr: "" });
    const path = join(directory, "silent");
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const silent = await runProgram(["complete", "--", "list", "--store", path, ""]);
    server.close();
    expect(silent).toEqual({ code: 0, stdout: ":\n", stderr: "" });
  });
});

describe("bash", () => {
  const environment = () => ({
    PATH: `${directory}/bin:${process.env["PATH"]}`,
    XENSTORED_PATH: store.socketPath(0),
    TERM: "dumb",
    HOME: directory,
  });

  /** What COMPREPLY is, as bash itself parts the line. */
  async function replies(line: string): Promise<string[]> {
    const script = `source <(xdevd completion bash)\nCOMP_LINE=$1 COMP_POINT=\${#1}\n` +
      `COMP_WORDS=("\${@:2}") COMP_CWORD=$(($# - 2))\n_xdevd xdevd\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
    // At = and :, too, which are words of their own.
    const words = line.split(/\s+|(?<=[=:])|(?=[=:])/);
    const shell = Bun.spawn(["bash", "--norc", "-c", script, "bash", line, ...words], {
      ...{ env: environment(), cwd: directory, stdout: "pipe", stderr: "pipe" },
    });
    const [out, err] = await Promise.all([
      new Response(shell.stdout).text(),
      new Response(shell.stderr).text(),
    ]);
    expect(err).toBe("");
    return out.split("\n").filter((reply) => reply !== "");
  }

  test.each(
    [
      ["xdevd block-d", ["block-detach"]],
      ["xdevd devd --log-level=w", ["warning"]],
      ["xdevd devd --log-level=", ["debug", "info", "warning", "error"]],
      ["xdevd block-detach web ", ["xvda", "xvdb"]],
      ["xdevd block-attach web vdev=xvdc,backend=st", ["storage"]],
      ["xdevd block-attach web vdev=xvdc,forma", ["xvdc,format="]],
      ["xdevd devd --config im", ["images"]],
      ["xdevd devd --config=images/w", ["images/web.img"]],
      ["xdevd install --root=im", ["images"]],
      ["xdevd frobnicate ", []],
    ] as const,
  )("%s", async (line, expected) => {
    expect(await replies(line)).toEqual([...expected]);
  });

  test("at a terminal, by the tab key", async () => {
    const terminal = spawn("script", ["-qec", "bash --norc -i", "/dev/null"], {
      env: { ...environment(), PS1: "ready> ", INPUTRC: "/dev/null" },
      cwd: directory,
    });
    let shown = "";
    terminal.stdout.on("data", (chunk) => shown += chunk);
    const ended = new Promise((resolve) => terminal.once("close", resolve));
    terminal.stdin.write(
      "bind 'set bell-style none'; source <(xdevd completion bash)\n" +
        "xdevd block-det\tweb xvdb --fo\t\n" +
        "xdevd block-attach web vdev=xvdc,back\tst\t\n" +
        "xdevd give\t --run-dir=im\t\nexit\n",
    );
    await ended;
    expect(shown).toContain("ran: block-detach web xvdb --force\r\n");
    // `backend=` and `backendtype=` have the first letters in common.
    expect(shown).toContain("ran: block-attach web vdev=xvdc,backendst\r\n");
    expect(shown).toContain("ran: give-up --run-dir=images/\r\n");
  });
});

test("each shell has a script, which the program prints", async () => {
  for (const shell of SHELLS) {
    expect(await runProgram(["completion", shell])).toEqual({
      ...{ code: 0, stderr: "" },
      stdout: SCRIPTS[shell],
    });
    expect(existsSync(join(import.meta.dir, "../../packaging/completion", shell))).toBeTrue();
  }
  const { code, stderr } = await runProgram(["completion", "csh"]);
  expect({ code, stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("Expected one of bash, zsh, fish."),
  });
});
