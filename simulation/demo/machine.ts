/** The machine that the demonstration runs on: a store with its domains, and a script. */
import { DEFAULT_PATH } from "../../core/hotplug/defaults.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { selfCommand } from "../../platform/self.ts";
import { listenStore, socketPath } from "../xenstored/listen.ts";
import { XenstoreServer } from "../xenstored/server.ts";
import script from "./block-demo" with { type: "text" };

/** What differs between the simulated and the real demonstration. */
export interface Machine {
  /** For people. */
  readonly description: string;
  /** Where to connect as a domain. */
  socketPath(domid: number): string;
  /** Absolute path of the hotplug script. */
  readonly script: string;
  readonly daemonOptions: readonly string[];
  /** Whether the kernel opens a path, in place of a block device's number. */
  readonly opensPath: boolean;
  /** A file through which the guest's data can be read, from what the backend opened. */
  dataPath(opened: string): Promise<string>;
  /** What the script has left behind, a line each; none when all is well. */
  leftovers(): Promise<string[]>;
  stop(): Promise<void>;
}

/** The embedded store, and the script of this directory: needs neither Xen nor root. */
export async function simulatedMachine(
  directory: string,
  domains: readonly number[],
): Promise<Machine> {
  const server = new XenstoreServer();
  const listening = await listenStore(server, directory);
  for (const domid of domains) await listening.introduce(domid);
  const scripts = `${directory}/scripts`;
  const tools = `${directory}/tools`;
  const made = `${directory}/made`;
  await systemFiles.makeDirectory(scripts, 0o755);
  await systemFiles.makeDirectory(tools, 0o755);
  await systemFiles.writeText(`${scripts}/block-demo`, script, 0o755);
  for (const verb of ["read", "write"]) {
    const command = selfCommand().map(quotedWord).join(" ");
    await systemFiles.writeText(
      `${tools}/xenstore-${verb}`,
      `#!/bin/sh\nexec ${command} store ${verb} "$@"\n`,
      0o755,
    );
  }
  return {
    description: "simulated: the embedded store, a small shell script, no Xen, no root",
    socketPath: (domid) => socketPath(directory, domid),
    script: `${scripts}/block-demo`,
    daemonOptions: [
      "--scripts",
      scripts,
      "--script-path",
      `${tools}:${DEFAULT_PATH}`,
    ],
    opensPath: true,
    dataPath: async (opened) => opened,
    leftovers: async () => {
      const links = await systemFiles.list(made).catch(() => []);
      return links.map((name) => `${made}/${name} is still there`);
    },
    stop: () => listening.close(),
  };
}

/** A word as a shell takes it, whatever is in it. */
export function quotedWord(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
