/** The command lines of `xdevd lifecycle`, `demo` and `sandbox`, which show what a device goes through. */
import { type Command, Option } from "../line/command.ts";
import { DIAGRAM_FORMATS, type DiagramFormat } from "./formats.ts";

/** Adds `lifecycle`. */
export function addLifecycle(program: Command): void {
  program.command("lifecycle")
    .description("print the diagram of a device's life, from the table that drives it")
    .example("xdevd lifecycle", "as text, for Mermaid")
    .example("xdevd lifecycle --format dot", "as text, for Graphviz")
    .addOption(
      new Option("--format <format>", "what it is printed as").choices(DIAGRAM_FORMATS)
        .default("mermaid"),
    )
    .action(async ({ format }: { format: DiagramFormat }) => {
      const { printLifecycle } = await import("./lifecycle.ts");
      await printLifecycle(format);
    });
}

/** Adds `demo`. */
export function addDemo(program: Command, finish: (status: number) => void): void {
  program.command("demo")
    .description("a disk for a guest, from attach to detach, on a simulated machine")
    .example("xdevd demo", "needs neither Xen nor root, and takes about a second")
    .example("xdevd demo --real", "with Debian's store and script, and a loop device")
    .option("--real", "on Debian's xenstored and block script (root, from the source tree)")
    .action(async (options: { real?: boolean }) => {
      const { demo } = await import("../../simulation/demo/demo.ts");
      finish(await demo(options));
    });
}

/** Adds `sandbox`. */
export function addSandbox(program: Command, finish: (status: number) => void): void {
  program.command("sandbox")
    .description("a simulated driver domain and guests, to try commands in; no Xen, no root")
    .example("xdevd sandbox", "prints what to type next in another terminal; Ctrl-C ends it")
    .example("TMPDIR=/var/tmp xdevd sandbox", "with its files elsewhere")
    .action(async () => {
      const { sandbox } = await import("../../simulation/sandbox/sandbox.ts");
      finish(await sandbox());
    });
}
