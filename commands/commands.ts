/**
 * The commands that there are: all. `npm run compile -- --only devd` puts another list in this one's
 * place.
 */
import type { Command, Option } from "./line/command.ts";
import type { BuiltIn } from "../core/daemon/plugin/host.ts";
import { addCompletion } from "./completion/program.ts";
import { addDevd } from "./devd/program.ts";
import { addDevices } from "./device/program.ts";
import { addDoctor } from "./doctor/program.ts";
import { addHotplug } from "./hotplug/program.ts";
import { addInstall } from "./install/program.ts";
import { addDemo, addLifecycle, addSandbox } from "./lifecycle/program.ts";
import { addMetrics } from "./metrics/program.ts";
import { addPlugin } from "./plugin/program.ts";
import { addRequests } from "./request/program.ts";
import { addStatus } from "./status/program.ts";
import { addStore } from "./store/program.ts";
import { addVtpm } from "./vtpm/program.ts";
import { addXenstored } from "./xenstored/program.ts";

/** What commands are made with. */
export interface CommandParts {
  readonly program: Command;
  /** Makes the option `--store`. */
  readonly storeOption: () => Option;
  /** The backends that are compiled in. */
  readonly builtIns: readonly BuiltIn[];
  /** The command line without the program's name. */
  readonly args: readonly string[];
  /** Takes the exit status. */
  readonly finish: (status: number) => void;
}

/** Adds them. */
export function addCommands(
  { program, storeOption, builtIns, args, finish }: CommandParts,
): void {
  program.commandsGroup("In a driver domain:");
  addDevd(program, storeOption, builtIns, args, finish);
  addStatus(program, storeOption, finish);
  addDoctor(program, storeOption, builtIns, finish);
  addMetrics(program, storeOption, finish);
  addVtpm(program, finish);
  program.commandsGroup("Devices of guests, as xl has them:");
  addDevices(program, storeOption, builtIns, finish);
  addRequests(program, storeOption, builtIns, finish);
  program.commandsGroup("Block scripts of version 2, by hand:");
  addHotplug(program, storeOption, finish);
  program.commandsGroup("Setting it up:");
  addInstall(program, finish);
  addCompletion(program, builtIns, finish);
  addPlugin(program, builtIns, finish);
  program.commandsGroup("To look at, to try and to learn:");
  addStore(program, storeOption, finish);
  addXenstored(program, finish);
  addDemo(program, finish);
  addSandbox(program, finish);
  addLifecycle(program);
}
