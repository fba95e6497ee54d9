/** The command line of `xdevd request`. */
import type { Command, Option } from "../line/command.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { seconds } from "../arguments.ts";
import { withCommonOptions } from "../device/program.ts";
import type { DeviceOptions } from "../device/session.ts";
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
    );
  const command = (usage: string, description: string) =>
    withCommonOptions(request.command(usage).description(description), storeOption);
  const waiting = (usage: string, description: string) =>
    command(usage, description)
      .option("--timeout <s>", "how long it may take, in seconds", seconds, ATTACH_SECONDS);
  const actions = () => import("./request.ts");
  command("setup <domain>", "grant a driver domain what it needs to take requests")
    .action(async (domain: string, options: DeviceOptions) =>
      finish(await (await actions()).setUp(domain, options))
    );
  waiting("attach <device> <domain> <spec...>", "ask for a device, and wait for it")
    .option("--hold", "have it prepared, but not connected, until `release` (for a migration)")
    .action(async (
      device: string,
      guest: string,
      texts: string[],
      options: RequestCommandOptions,
    ) => finish(await (await actions()).attachRequest(device, guest, texts, options, builtIns)));
  for (
    const [what, words] of [
      ["wait", "wait for a device that was asked for"],
      ["release", "let a device be connected that is held, and wait for it"],
    ] as const
  ) {
    waiting(`${what} <device> <domain> <devid>`, words)
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
  command("detach <device> <domain> <devid>", "give a device back")
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
  command("list [domain]", "list the requests to a driver domain, or to all")
    .action(async (domain: string | undefined, options: DeviceOptions) =>
      finish(await (await actions()).listRequested(domain, options))
    );
}
