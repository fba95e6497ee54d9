/** The event loop of Bun. */
import { signalName } from "../signals.ts";
import type { Sources } from "../sources.ts";
import { openReader, somethingHappened } from "./reader.ts";
import { sys } from "./sys.ts";

// asm-generic/fcntl.h
const F_DUPFD_CLOEXEC = 1030;

/** See {@link Sources}. */
export const sources: Sources = {
  openReader,

  listen(path, accept) {
    const listener = Bun.listen({
      unix: path,
      socket: {
        open(socket) {
          // The runtime accepts it; what is done with it after that is ours.
          const fd = sys.fcntl((socket as unknown as { fd: number }).fd, F_DUPFD_CLOEXEC, 0);
          socket.terminate();
          somethingHappened();
          if (fd >= 0) accept(fd);
        },
        data() {},
      },
    });
    return () => void listener.stop();
  },

  start({ argv, env, cwd, fds }, ended) {
    const { pid } = Bun.spawn([...argv], {
      detached: true,
      env: { ...env },
      cwd,
      stdio: fds.map((fd) => fd ?? "ignore") as ["ignore", "ignore", "ignore"],
      onExit: (_, code, signal) => {
        somethingHappened();
        ended({
          code,
          signal: typeof signal === "number" ? signalName(signal) : signal as string | null,
        });
      },
    });
    return pid;
  },

  onSignal(name, run) {
    const take = () => {
      somethingHappened();
      run();
    };
    process.on(name, take);
    return () => void process.off(name, take);
  },
};
