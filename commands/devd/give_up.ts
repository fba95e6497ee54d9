/** `xdevd give-up`: has the daemon try nothing more about a device that cannot be undone. */
import { systemClock } from "../../platform/clock.ts";
import { connectStream } from "../../platform/io/stream.ts";
import { printTo } from "../../platform/io/output.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import { printable } from "../../core/log/log.ts";
import {
  CONTROL_SOCKET,
  type ControlAnswer,
  type ControlCall,
  encodeMessage,
  INTERFACE,
  MessageSplitter,
} from "../../core/daemon/control/messages.ts";

/** How long the daemon may take, in ms. */
const ANSWER_MS = 10_000;

/**
 * Gives it up, and prints what was done.
 * @param device as the daemon's state names it: `vbd/7/51712`
 * @throws CodedError
 */
export async function giveUp(device: string, runDir: string): Promise<number> {
  const { error, parameters } = await ask(`${runDir}/${CONTROL_SOCKET}`, {
    method: `${INTERFACE}.GiveUp`,
    parameters: { device },
  });
  if (error === undefined) {
    printTo(1, `${printable(String(parameters["said"]))}\n`);
    return ExitCode.Success;
  }
  const reason = printable(String(parameters["reason"] ?? error));
  throw new CodedError(
    error === `${INTERFACE}.NoSuchDevice` ? "no-such-device" : "failed",
    reason,
  );
}

async function ask(path: string, call: ControlCall): Promise<ControlAnswer> {
  const noAnswer = (why: string) =>
    new CodedError("daemon-silent", `no daemon answers at ${path}: ${why}`);
  const stream = await connectStream(path).catch((error: Error) => {
    throw noAnswer(`${error.message}; expected a daemon there (--run-dir DIR names another place)`);
  });
  const { promise, resolve, reject } = Promise.withResolvers<ControlAnswer>();
  const cancel = systemClock.after(
    ANSWER_MS,
    () => reject(noAnswer(`nothing came within ${ANSWER_MS / 1000} s`)),
  );
  const splitter = new MessageSplitter();
  stream.start({
    data(chunk) {
      try {
        const [answer] = splitter.push(chunk);
        if (answer !== undefined) resolve({ parameters: {}, ...answer } as ControlAnswer);
      } catch (error) {
        reject(noAnswer((error as Error).message));
      }
    },
    closed: (error) => reject(noAnswer(error?.message ?? "it ended the connection")),
  });
  stream.write(encodeMessage(call));
  try {
    return await promise;
  } finally {
    cancel();
    stream.close();
  }
}
