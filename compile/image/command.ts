/** Programs of the host that the lab's builder calls. */
import { spawnSync } from "node:child_process";
import { ImageError } from "./image_error.ts";

/** How a program is called. */
export interface CommandOptions {
  readonly cwd?: string;
  readonly input?: Uint8Array;
  /** Exit codes other than 0 that are fine. */
  readonly accept?: readonly number[];
}

/**
 * Runs a program to its end.
 * @returns what it printed on its standard output
 * @throws ImageError with what it printed on its standard error
 */
export function command(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Uint8Array {
  const { error, status, stdout, stderr } = spawnSync(program, [...args], {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.input === undefined ? {} : { input: options.input }),
    env: { ...process.env, LC_ALL: "C" },
    maxBuffer: 512 * 1024 * 1024,
  });
  if (error) throw new ImageError(`${program}: ${error.message}`);
  if (status !== 0 && !options.accept?.includes(status ?? -1)) {
    const said = stderr.toString().trim().split("\n").slice(-5).join("; ");
    throw new ImageError(`${program} ${args.join(" ")}: status ${status}: ${said}`);
  }
  return stdout;
}

/** As {@link command}, for text. */
export function commandText(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): string {
  return new TextDecoder().decode(command(program, args, options));
}
