/** The targets that a command line asks for. */
import { refuse } from "../tools/command_line.ts";
import { type Target, TARGETS, targetsNamed } from "./targets.ts";

/** Ends the program with status 2 if there is one that there is not. @param program its name */
export function chosenTargets(
  program: string,
  list: string,
  among: readonly Target[] = TARGETS,
): readonly Target[] {
  try {
    return targetsNamed(list, among);
  } catch (error) {
    return refuse(program, (error as Error).message);
  }
}
