/** The command line of `xdevd install` and `xdevd uninstall`. */
import { type Command, InvalidArgumentError, Option } from "../line/command.ts";
import { absoluteFile } from "../../platform/self.ts";
import type { InstallOptions } from "./install.ts";

/** As in commands/install/layout.ts, which is loaded only when something is installed. */
const SERVICES = ["systemd", "openrc", "sysv"] as const;
const INITRAMFS = ["initramfs-tools", "dracut"] as const;

export function addInstall(program: Command, finish: (status: number) => void): void {
  const root = () =>
    new Option("--root <dir>", "where / of the installed system is: / itself, or a chroot")
      .argParser(absoluteFile).makeOptionMandatory();
  program.command("install")
    .description("lay this program out in a system: binary, links, service, configuration")
    .example(
      "xdevd install --root / --service systemd --links --manual",
      "on this machine, with the unit, the xenstore tools and the manual",
    )
    .example(
      "xdevd install --root /mnt --binary xdevd-linux-arm64 --service openrc",
      "into a system that is mounted there, for another kind of machine",
    )
    .addOption(root())
    .option("--manual", "manual pages, and completions for bash, zsh and fish")
    .option("--links", "the xenstore tools, as links to the program")
    .addOption(
      new Option("--service <kind>", `what starts it: ${SERVICES.join(", ")}; may be repeated`)
        .argParser(collect(SERVICES)).default([], "none").suggest(SERVICES),
    )
    .addOption(
      new Option("--initramfs <kind>", `hooks of ${INITRAMFS.join(", ")}; may be repeated`)
        .argParser(collect(INITRAMFS)).default([], "none").suggest(INITRAMFS),
    )
    .addOption(
      new Option("--binary <file>", "lay this file out as the program (default: this one)")
        .argParser(absoluteFile),
    )
    .action(async (options: InstallOptions) => {
      const { install } = await import("./install.ts");
      finish(await install(options, () => program.data));
    });
  program.command("uninstall")
    .description("remove what `install` has laid out, and nothing else")
    .example("xdevd uninstall --root /", "from this machine")
    .example("xdevd uninstall --root /mnt", "from a system that is mounted there")
    .addOption(root())
    .action(async (options: { root: string }) => {
      const { uninstall } = await import("./install.ts");
      finish(await uninstall(options));
    });
}

function collect<T extends string>(allowed: readonly T[]) {
  return (text: string, previous: readonly T[]): readonly T[] => {
    const found = allowed.find((name) => name === text);
    if (found === undefined) {
      throw new InvalidArgumentError(`Expected one of ${allowed.join(", ")}.`);
    }
    return [...previous, found];
  };
}
