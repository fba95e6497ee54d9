/** Carrying out what a plan says. */
import { absent, type NodeAccess } from "../xenstore/access.ts";
import type { CreationStep } from "./nodes/plan.ts";

/** In order, and none waits for the one before. @param t a transaction */
export async function carryOut(t: NodeAccess, steps: readonly CreationStep[]): Promise<void> {
  await Promise.all(steps.map((step) => {
    switch (step.type) {
      case "remove":
        return absent(t.remove(step.path));
      case "mkdir":
        return t.makeDirectory(step.path);
      case "permit":
        return t.setPermissions(step.path, step.permissions);
      case "write":
        return t.write(step.path, step.value);
    }
  }));
}
