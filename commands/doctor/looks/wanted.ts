/** What devices ask for: what is missing is a failure where one does, else a warning. */
import type { Here, SeenDevice } from "../here.ts";

/** Whether some device is of such a kind, as far as the store tells. */
export async function wanted(here: Here, isIt: (kind: string) => boolean): Promise<boolean> {
  return (await knownDevices(here)).some(({ id }) => isIt(id.kind));
}

/** The devices; none where the store does not tell, which another look says. */
export async function knownDevices(here: Here): Promise<readonly SeenDevice[]> {
  try {
    return (await here.devices()).devices;
  } catch {
    return [];
  }
}
