/** Two things of which the second is done in any case, as by `finally`, but no failure hides the other. */

/**
 * Waits for `first`, then does `second`, whether that went well or not.
 * @throws what fails; if both do, an Error with both reasons, whose cause is the first
 */
export async function both<T>(first: Promise<T>, second: () => Promise<unknown>): Promise<T> {
  let result: T;
  try {
    result = await first;
  } catch (error) {
    try {
      await second();
    } catch (another) {
      throw new Error(`${textOf(error)}; and then: ${textOf(another)}`, { cause: error });
    }
    throw error;
  }
  await second();
  return result;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
