/** The service manager of this machine, for the daemon. */
import { openLog } from "../../core/log/log.ts";
import { systemClock } from "../../platform/clock.ts";
import { openNotifySocket } from "../../platform/linux/notify_socket.ts";
import { environment, processId } from "../../platform/self.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { ServerError } from "../../core/xenstore/errors.ts";
import { openServiceManager, type ServiceManager } from "./service_manager.ts";

/** Finds the service manager that started this, if one did. */
export function daemonService(store: StoreClient): Promise<ServiceManager> {
  return openServiceManager({
    NOTIFY_SOCKET: environment("NOTIFY_SOCKET"),
    WATCHDOG_USEC: environment("WATCHDOG_USEC"),
    WATCHDOG_PID: environment("WATCHDOG_PID"),
  }, {
    clock: systemClock,
    pid: processId(),
    open: openNotifySocket,
    async alive(timeoutMs) {
      // It waits for the store to return, and knows it: another process could do no better.
      if (store.isRecovering) return;
      try {
        await store.exists("domid", { timeoutMs });
      } catch (error) {
        // A refusal is an answer.
        if (!(error instanceof ServerError) && !store.isRecovering) throw error;
      }
    },
    warn: (text) => openLog().warning(text),
  });
}
