/** One line, for programs that say no more than that. Loads nothing. */

/**
 * Writes one short line to the standard output; false when that fails, which is said. A reader that is
 * gone, or does not read, is no failure: there is nobody left to tell.
 */
export async function printLine(line: string): Promise<boolean> {
  try {
    await Bun.write(Bun.stdout, `${line}\n`);
    return true;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === "EPIPE" || code === "EAGAIN") return true;
    console.error(`xdevd: ${message}`);
    return false;
  }
}
