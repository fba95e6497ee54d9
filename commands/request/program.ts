/** The command line of `xdevd request`. */
import type { Command, Example, Option } from "../line/command.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { seconds, storeCommand } from "../arguments.ts";
import { withServingOptions } from "../device/program.ts";
import type { ListOptions } from "../device/session.ts";
import type { RequestCommandOptions, RequestDetachOptions } from "./request.ts";

/** How long an attach may take, in seconds (spec of the protocol, "attach"). */
const ATTACH_SECONDS = 60;

/** Adds the commands. @param storeOption makes the option `--store` */
export function addRequests(
  program: Command,
  storeOption: () => Option,
  builtIns: readonly BuiltIn[],
  finish: (status: number) => void,
): void {
  const request = program.command("request")
    .description(
      "devices that driver domains make themselves, when asked (docs/request-protocol.md)",
    )
    .example("xdevd request setup storage", "once for each start of the driver domain storage")
    .example(
      "xdevd request attach disk web vdev=xvdb,backend=storage,target=/dev/vg/web",
      "ask it for a disk",
    );
  const command = (
    schema: string,
    usage: string,
    description: string,
    ...examples: readonly Example[]
  ) => storeCommand(request, storeOption, schema, usage, description, ...examples);
  const waiting = (usage: string, description: string, ...examples: readonly Example[]) =>
    withServingOptions(
      command("request-attach", usage, description, ...examples)
        .option("--timeout <s>", "how long it may take, in seconds", seconds, ATTACH_SECONDS),
    );
  const actions = () => import("./request.ts");
  command(
    "request-setup",
    "setup <domain>",
    "grant a driver domain what it needs to take requests",
    [
      "xdevd request setup storage",
      "once for each start of the driver domain storage",
    ],
    ["xdevd request setup 3", "by its domid; done again, it changes nothing"],
  )
    .action(async (domain: string, options: ListOptions) =>
      finish(await (await actions()).setUp(domain, options))
    );
  waiting("attach <device> <domain> <spec...>", "ask for a device, and wait for it", [
    "xdevd request attach disk web vdev=xvdb,backend=storage,target=/dev/vg/web",
    "a volume of the driver domain storage",
  ], [
    "xdevd request attach vif web bridge=xenbr0 backend=net --hold",
    "an interface that `release` connects",
  ])
    .option("--hold", "have it prepared, but not connected, until `release` (for a migration)")
    .action(async (
      device: string,
      guest: string,
      texts: string[],
      options: RequestCommandOptions,
    ) => finish(await (await actions()).attachRequest(device, guest, texts, options, builtIns)));
  for (
    const [what, words, when] of [
      ["wait", "wait for a device that was asked for", "when another command was interrupted"],
      ["release", "let a device be connected that is held, and wait for it", "after a migration"],
    ] as const
  ) {
    waiting(
      `${what} <device> <domain> <devid>`,
      words,
      [`xdevd request ${what} disk web xvdb`, when],
      [`xdevd request ${what} vif web 0 --timeout 10`, "for at most 10 s"],
    )
      .action(async (
        device: string,
        guest: string,
        which: string,
        options: RequestCommandOptions,
      ) =>
        finish(
          await (await actions()).continueRequest(
            what,
            { device, guest, which },
            options,
            builtIns,
          ),
        )
      );
  }
  withServingOptions(command(
    "detach",
    "detach <device> <domain> <devid>",
    "give a device back",
    ["xdevd request detach disk web xvdb", "when the guest lets go of it"],
    ["xdevd request detach vif web 0 --force", "without asking the guest"],
  ))
    .option("--force", "do not wait for the guest to let go")
    .option(
      "--timeout <s>",
      "how long it may take, in seconds (default: 10 for the guest, 60 for the driver domain)",
      seconds,
    )
    .action(async (
      device: string,
      guest: string,
      which: string,
      options: RequestDetachOptions,
    ) =>
      finish(await (await actions()).detachRequest({ device, guest, which }, options, builtIns))
    );
  command("request-list", "list [domain]", "list the requests to a driver domain, or to all", [
    "xdevd request list",
    "all of them, and what the driver domains say",
  ], ["xdevd request list storage --json", "those to the driver domain storage, for a program"])
    .action(async (domain: string | undefined, options: ListOptions) =>
      finish(await (await actions()).listRequested(domain, options))
    );
}
