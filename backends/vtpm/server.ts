/** Serves one guest: between the page that it shares and its swtpm. */
import type { Connection, OpenServer, ServerContext } from "../../contract/v2/plugin.ts";
import { Page, PageError, PageState } from "./page.ts";
import type { Version } from "./settings.ts";
import { Tpm } from "./tpm.ts";

/** @throws Error when its swtpm cannot be used */
export async function openServer(context: ServerContext): Promise<OpenServer> {
  const { directory, version, localities } = context.given;
  const allowed = new Set(String(localities).split(" ").map(Number));
  const tpm = await Tpm.open({
    directory: String(directory),
    version: version as Version,
    connect: (path) => context.connect(path),
    fail: (reason) => context.fail(reason),
  });
  return {
    serve: (connection) => serve(connection, tpm, allowed, context),
    end: () => tpm.end(),
  };
}

/** A command of the guest's that is under way. */
interface Pending {
  cancelled: boolean;
}

async function serve(
  connection: Connection,
  tpm: Tpm,
  allowed: ReadonlySet<number>,
  { log, fail }: ServerContext,
): Promise<void> {
  const { events, closing, memory, nodes } = connection;
  if (nodes["feature-protocol-v2"] !== "1") {
    throw new Error(
      "the guest's frontend does not say feature-protocol-v2: it is older than the protocol served",
    );
  }
  const page = new Page(memory[0]!);
  let pending: Pending | null = null;
  let hasWarned = false;

  const giveUp = () => {
    pending = null;
    page.giveUp();
    events.notify();
  };
  const answer = (bytes: Uint8Array) => {
    if (page.answer(bytes)) events.notify();
  };
  const submit = () => {
    const { bytes, locality } = page.take();
    if (!allowed.has(locality)) return answer(tpm.badLocality(bytes));
    const mine: Pending = pending = { cancelled: false };
    const isWanted = () => pending === mine;
    tpm.execute(bytes, locality, isWanted).then((said) => {
      // It was told that there will be none, or has gone.
      if (!isWanted() || !page.isMapped) return;
      pending = null;
      answer(said);
    }).catch((error) => fail((error as Error).message));
  };
  const look = () => {
    const { state } = page;
    if (closing.aborted) return state === PageState.Idle || state === PageState.Finish || giveUp();
    if (pending !== null) {
      if (state !== PageState.Cancel || pending.cancelled) return;
      pending.cancelled = true;
      return tpm.cancel();
    }
    if (state === PageState.Cancel) return giveUp();
    if (state === PageState.Submit) return submit();
  };
  do {
    try {
      look();
    } catch (error) {
      if (!(error instanceof PageError)) throw error;
      // Each would be a line for whoever can write to the page.
      if (!hasWarned) log.warning(`the guest makes no sense: ${error.message}`);
      hasWarned = true;
      giveUp();
    }
  } while (await events.wait());
}
