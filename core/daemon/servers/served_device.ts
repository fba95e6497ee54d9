/** One device with a server: its process, and the handshake with its guest. */
import type { Given, ServerManifest } from "../../../contract/v2/manifest.ts";
import type { DeviceChildren, DeviceDirectories, Setting } from "../../../contract/v1/plugin.ts";
import type { ByteStream, Cancel, Clock, Files } from "../../../platform/types.ts";
import { type Log, oneLine } from "../../log/log.ts";
import { backendPath, type DeviceId, frontendPath, parseDecimal } from "../../xen/device_id.ts";
import { parseState, stateName, XenbusState } from "../../xen/states.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { Watch } from "../../xenstore/watches.ts";
import { ATTACH_ID_NODE } from "../device/attach_id_node.ts";
import { nextDeed, type Standing } from "./handshake.ts";
import {
  isSame,
  type Offer,
  REASON_MAX,
  SERVER_COMMAND,
  SERVER_PROCESS,
  SERVER_SOCKET,
  type ServerCode,
} from "./protocol.ts";
import { ServerLink } from "./server_link.ts";

/** libxl waits for exactly state 2, and may miss it when it is passed by at once (vtpm, in ms). */
export const SETTLE_MS = 300;

/** How long a guest has to close its side before what it shares is taken from it, in ms. */
export const CLOSE_MS = 1_000;

/** How long a process may take until it listens, in ms; and how often it is looked whether it does. */
export const START_MS = 10_000;
const START_POLL_MS = 5;

/** How long one that is told to end may take, in ms: its `end` has 2 s. */
const QUIT_MS = 3_000;

/** How often another process may go on where one has ended, and in what time, in ms. */
const RESUMES_MAX = 3;
const RESUME_WITHIN_MS = 60_000;

/** In the device's directory, root's alone; and its most, in bytes (`Given`). */
const GIVEN_FILE = "server.json";
const GIVEN_MAX = 64 * 1024;

/** How long a lost process may take until its end is known, in ms. */
const LAST_LOOK_MS = 500;

/** Longest node of a frontend that is handed on, in characters. */
const NODE_MAX = 1_024;

/** Deeds in a row: two sides that do not agree are looked at again with the next event. */
const DEEDS_MAX = 8;

/** What a frontend says makes no sense. */
class OfferError extends Error {
  override name = "OfferError";
}

/** What all servers of a daemon have in common. */
export interface ServerParts {
  readonly store: StoreClient;
  readonly clock: Clock;
  /** How this program is run again. */
  readonly command: readonly [string, ...string[]];
  /** Directory in which guests and grants are files, in place of Xen's. */
  readonly simulated?: string;
  readonly files: Pick<Files, "readText" | "writeText">;
  /** Connects to a unix socket. */
  connect(path: string): Promise<ByteStream>;
}

/** Whose server it is. */
export interface ServedContext {
  readonly id: DeviceId;
  readonly frontendKind: string;
  readonly code: ServerCode;
  /** Of the code's manifest. */
  readonly manifest: ServerManifest;
  readonly settings: Readonly<Record<string, Setting>>;
  readonly log: Log;
  /** The attach id that the directory must have. */
  attachId(): string | null;
  readonly children: DeviceChildren;
  readonly directories: Pick<DeviceDirectories, "state">;
  /** To be called when the device should be looked at: its frontend may have changed. */
  onFrontend(): void;
  /** To be called when the device should be checked at once. */
  onTrouble(): void;
  /** To be called after each write to the backend's directory. */
  onWrite(): void;
}

/** The server of one device. */
export class ServedDevice {
  readonly #parts: ServerParts;
  #context: ServedContext;
  #link: ServerLink | null = null;
  #watch: Watch | null = null;
  #failure: string | null = null;
  #offer: Pick<Offer, "references" | "port"> | null = null;
  #closing: "no" | "told" | "expired" = "no";
  #cancelClosing: Cancel = () => {};
  #settledAt = 0;
  #cancelSettling: Cancel = () => {};
  #running: Promise<void> | null = null;
  #again = false;
  #isStarted = false;
  #isEnding = false;
  #isOver = false;
  #complaint = "";
  #given: Given | null = null;
  #resuming: Promise<void> | null = null;
  /** When another process has gone on. */
  #resumed: number[] = [];
  readonly #ending = new AbortController();

  constructor(parts: ServerParts, context: ServedContext) {
    this.#parts = parts;
    this.#context = context;
  }

  /** Why it serves no longer; null while it does. */
  get failure(): string | null {
    return this.#failure;
  }

  /** See `DeviceServer.start`. */
  async start(given: Given, signal: AbortSignal): Promise<void> {
    await this.#open(given, signal);
    this.#settledAt = this.#parts.clock.now() + SETTLE_MS;
    await this.#announce();
    await this.#begin();
  }

  async #open(given: Given, signal: AbortSignal): Promise<void> {
    const { id, code, settings } = this.#context;
    const socket = await this.#socket();
    const { command, simulated } = this.#parts;
    const argv = [
      ...command,
      SERVER_COMMAND,
      socket,
      ...(simulated === undefined ? [] : [simulated]),
    ];
    await this.#context.children.start(SERVER_PROCESS, argv as [string, ...string[]]);
    // For another one that goes on. The server itself is not asked for it: its guest may have taken it over.
    await this.#parts.files.writeText(await this.#givenFile(), JSON.stringify(given), 0o600);
    const link = this.#take(await this.#reach(socket, signal));
    const onAbort = () => link.end();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await link.call("open", { code, id, settings, given }, START_MS);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    signal.throwIfAborted();
    this.#given = given;
  }

  /** Takes up the one that an earlier daemon has left. */
  async adopt(): Promise<void> {
    this.#given = await this.#readGiven();
    try {
      const stream = await this.#parts.connect(await this.#socket());
      const link = this.#take(stream);
      const { opened, failure, offer, serving } = await link.call("status");
      if (opened !== true) throw new Error("it had not begun");
      if (typeof failure === "string") this.#fail(oneLine(failure, REASON_MAX));
      // The daemon has died between the two.
      else if (offer !== null && serving !== true) await link.call("disconnect");
      else this.#offer = offer ?? null;
    } catch (error) {
      this.#link?.end();
      if (this.#mayResume()) this.#goOn();
      else this.#fail(`its server is gone: ${(error as Error).message}`);
    }
    await this.#begin();
  }

  /** The device was looked at: something may have changed. */
  look(): void {
    if (!this.#isStarted || this.#isOver) return;
    this.#again = true;
    this.#running ??= this.#deal().finally(() => this.#running = null);
  }

  /** Ends the process. @throws Error when it does not end */
  async stop(): Promise<void> {
    this.#isEnding = true;
    this.#ending.abort(new Error("it is ended"));
    // The toolstack waits for Closed, and nobody looks at the device any more.
    this.look();
    await this.#running;
    this.abandon();
    await this.#resuming;
    if (this.#link?.isOpen) {
      await this.#link.call("quit", {}, QUIT_MS).catch((error: Error) =>
        this.#context.log.warning(`its server does not end by itself: ${error.message}`)
      );
    }
    this.#link?.end();
    await this.#context.children.stop(SERVER_PROCESS);
  }

  /** Looks after it no more; the process goes on. */
  abandon(): void {
    this.#isOver = true;
    this.#cancelClosing();
    this.#cancelSettling();
    this.#watch?.close({ timeoutMs: QUIT_MS }).catch(() => {});
    this.#watch = null;
  }

  /** Ends the connection as well; one that is being started is not disturbed. */
  leave(): void {
    if (!this.#isStarted) return;
    this.abandon();
    this.#link?.end();
  }

  async #givenFile(): Promise<string> {
    return `${await this.#context.directories.state()}/${GIVEN_FILE}`;
  }

  /** What an earlier daemon's `add` has handed over; null if that is not known. */
  async #readGiven(): Promise<Given | null> {
    try {
      return JSON.parse(await this.#parts.files.readText(await this.#givenFile(), GIVEN_MAX));
    } catch {
      return null;
    }
  }

  async #socket(): Promise<string> {
    return `${await this.#context.directories.state()}/${SERVER_SOCKET}`;
  }

  async #begin(): Promise<void> {
    const { id, frontendKind } = this.#context;
    const path = `${frontendPath(id, frontendKind)}/state`;
    this.#isStarted = true;
    const watch = await this.#parts.store.watch(path, () => this.#context.onFrontend());
    if (this.#isOver) return void watch.close({ timeoutMs: QUIT_MS }).catch(() => {});
    this.#watch = watch;
    this.look();
  }

  /** Connects to a process that has just been started. @throws Error why it does not listen */
  async #reach(socket: string, signal: AbortSignal): Promise<ByteStream> {
    const { clock, connect } = this.#parts;
    const end = clock.now() + START_MS;
    for (;;) {
      signal.throwIfAborted();
      try {
        return await connect(socket);
      } catch (error) {
        if (clock.now() > end) {
          throw new Error(`its server does not start: ${(error as Error).message}`);
        }
        if (!await this.#context.children.running(SERVER_PROCESS)) {
          throw new Error("its server has ended before it began (see the lines above)");
        }
      }
      await new Promise<void>((resolve) => void clock.after(START_POLL_MS, resolve));
    }
  }

  #take(stream: ByteStream): ServerLink {
    const { log } = this.#context;
    return this.#link = new ServerLink(stream, this.#parts.clock, {
      failed: (reason) => this.#fail(reason),
      log: (level, text) => log[level](`server: ${text}`),
      lost: () => void this.#lost(),
    });
  }

  /** Why it has ended is known to whoever keeps processes, a little later. */
  async #lost(): Promise<void> {
    const { clock } = this.#parts;
    const end = clock.now() + LAST_LOOK_MS;
    while (!this.#isOver && clock.now() < end) {
      if (!await this.#context.children.running(SERVER_PROCESS).catch(() => true)) break;
      await new Promise<void>((resolve) => void clock.after(START_POLL_MS, resolve));
    }
    if (this.#isOver) return;
    if (this.#mayResume()) this.#goOn();
    else this.#fail("its server has ended");
  }

  /** One after the other: the process that goes on may end before it has begun, too. */
  #goOn(): void {
    const before = this.#resuming ?? Promise.resolve();
    const work = before.then(async () => {
      if (this.#failure === null && !this.#isOver) await this.#resume();
    }).finally(() => {
      if (this.#resuming !== work) return;
      this.#resuming = null;
      this.look();
    });
    this.#resuming = work;
  }

  #mayResume(): boolean {
    const now = this.#parts.clock.now();
    this.#resumed = this.#resumed.filter((at) => now - at < RESUME_WITHIN_MS);
    return this.#context.manifest.resumes === true && this.#given !== null &&
      this.#failure === null && this.#resumed.push(now) <= RESUMES_MAX;
  }

  /** Has another process go on. */
  async #resume(): Promise<void> {
    // What the guest shares, the one that has ended has let go of.
    this.#offer = null;
    this.#closing = "no";
    this.#cancelClosing();
    this.#context.log.warning("its server has ended: another one goes on");
    try {
      await this.#context.children.stop(SERVER_PROCESS);
      await this.#open(this.#given!, this.#ending.signal);
    } catch (error) {
      return this.#fail(
        `its server has ended, and no other could go on: ${(error as Error).message}`,
      );
    }
  }

  #fail(reason: string): void {
    if (this.#failure !== null) return;
    this.#failure = reason;
    // It has let go of what the guest shares, one way or the other.
    this.#offer = null;
    this.#closing = "no";
    this.#cancelClosing();
    if (!this.#isOver) this.#context.onTrouble();
  }

  /** Deals with what there is to do, one thing after the other. */
  async #deal(): Promise<void> {
    while (this.#again && !this.#isOver) {
      this.#again = false;
      try {
        for (let deeds = 0; deeds < DEEDS_MAX && !this.#isOver; deeds++) {
          if (!await this.#doNext()) break;
        }
      } catch (error) {
        this.#complain((error as Error).message);
      }
    }
  }

  /** @returns whether there may be more */
  async #doNext(): Promise<boolean> {
    const standing = await this.#standing();
    const deed = nextDeed(standing);
    switch (deed.do) {
      case "nothing":
        return false;
      case "write":
        return await this.#write(standing.back, deed.state);
      case "connect":
        return await this.#connect(standing);
      case "disconnect":
        await this.#disconnect();
        return true;
      case "close":
        await this.#close();
        return true;
    }
  }

  async #standing(): Promise<Standing> {
    const { store } = this.#parts;
    const { id, frontendKind } = this.#context;
    const directory = backendPath(id);
    const [online, back, front, attachId] = await Promise.all([
      store.readVisible(`${directory}/online`),
      store.readVisible(`${directory}/state`),
      store.readVisible(`${frontendPath(id, frontendKind)}/state`),
      store.readVisible(`${directory}/${ATTACH_ID_NODE}`),
    ]);
    const isOurs = attachId === (this.#context.attachId() ?? undefined);
    const standing = {
      online: online === "1",
      back: isOurs ? parseState(back ?? "") : undefined,
      front: front === undefined ? undefined : parseState(front) ?? XenbusState.Unknown,
      usable: this.#failure === null && this.#resuming === null && !this.#isEnding,
    };
    return { ...standing, link: await this.#linkState(standing) };
  }

  async #linkState({ front }: Pick<Standing, "front">): Promise<Standing["link"]> {
    if (this.#offer === null) return "none";
    if (this.#closing !== "no") return this.#closing === "told" ? "closing" : "expired";
    const wants = front === XenbusState.Initialised || front === XenbusState.Connected;
    if (!wants) return "open";
    // It may have gone and come back meanwhile.
    try {
      return isSame(await this.#readOffer(), this.#offer) ? "open" : "expired";
    } catch (error) {
      // That the store cannot be asked says nothing of the guest.
      if (error instanceof OfferError) return "expired";
      throw error;
    }
  }

  async #connect({ back }: Standing): Promise<boolean> {
    const { clock } = this.#parts;
    const wait = this.#settledAt - clock.now();
    if (wait > 0) {
      this.#cancelSettling();
      this.#cancelSettling = clock.after(wait, () => this.look());
      return false;
    }
    const link = this.#link!;
    const offer = await this.#readOffer();
    try {
      await link.call("connect", offer);
    } catch (error) {
      if (link.isOpen) throw new Error(`the guest cannot be served: ${(error as Error).message}`);
      throw error;
    }
    this.#offer = offer;
    // Before the first answer: a driver that gets one in its state 3 gives up (xen-tpmfront.c).
    if (back !== XenbusState.Connected && !await this.#write(back, XenbusState.Connected)) {
      return true;
    }
    await link.call("serve");
    this.#complaint = "";
    this.#context.log.info("its guest has connected");
    return true;
  }

  async #close(): Promise<void> {
    this.#closing = "told";
    this.#cancelClosing = this.#parts.clock.after(CLOSE_MS, () => {
      this.#closing = "expired";
      this.look();
    });
    await this.#call("close", "the device is to be closed");
  }

  async #disconnect(): Promise<void> {
    this.#cancelClosing();
    await this.#call("disconnect");
    this.#offer = null;
    this.#closing = "no";
  }

  /** A server that does not answer has failed. */
  async #call(method: "close" | "disconnect", reason = "the guest has gone"): Promise<void> {
    try {
      await this.#link?.call(method, { reason });
    } catch (error) {
      this.#fail((error as Error).message);
    }
  }

  /** @throws OfferError with what is wrong about the frontend's nodes; StoreError */
  async #readOffer(): Promise<Offer> {
    const { id, frontendKind, manifest } = this.#context;
    const frontend = frontendPath(id, frontendKind);
    const { pages, eventChannel = "event-channel", nodes: wanted = [] } = manifest;
    const read = (name: string) => this.#parts.store.readVisible(`${frontend}/${name}`);
    const number = async (name: string, max: number) => {
      const text = await read(name);
      const value = parseDecimal(text ?? "", max);
      if (value !== undefined) return value;
      const shown = text === undefined ? "missing" : JSON.stringify(text.slice(0, 40));
      throw new OfferError(`the frontend's node ${name} is ${shown}; expected 0 to ${max}`);
    };
    const lists = pages.map(({ references }) =>
      Promise.all(references.map((name) => number(name, 0xffff_ffff)))
    );
    const [port, references, texts] = await Promise.all([
      number(eventChannel, 0x7fff_ffff),
      Promise.all(lists),
      Promise.all(wanted.map(read)),
    ]);
    const nodes: Record<string, string> = {};
    wanted.forEach((name, index) => {
      const text = texts[index];
      if (text === undefined) return;
      if (text.length > NODE_MAX) {
        throw new OfferError(`the frontend's node ${name} has more than ${NODE_MAX} characters`);
      }
      nodes[name] = text;
    });
    return { references, port, nodes };
  }

  /** State 2, and what goes before it. @throws Error when the device is not wanted any more */
  async #announce(): Promise<void> {
    const { id, manifest: { features = {} } } = this.#context;
    const directory = backendPath(id);
    const wrong = await this.#inDirectory(async (t) => {
      const state = parseState(await t.readVisible(`${directory}/state`) ?? "");
      if (state === XenbusState.Closing || state === XenbusState.Closed) {
        return "it is being closed";
      }
      for (const [name, value] of Object.entries(features)) {
        await t.write(`${directory}/${name}`, value);
      }
      await t.write(`${directory}/state`, String(XenbusState.InitWait));
      return null;
    });
    if (wrong !== null) throw new Error(wrong);
  }

  /** Writes the backend's state, if it still is what it was seen to be. */
  async #write(from: XenbusState | undefined, to: XenbusState): Promise<boolean> {
    const path = `${backendPath(this.#context.id)}/state`;
    const wrong = await this.#inDirectory(async (t) => {
      if (parseState(await t.readVisible(path) ?? "") !== from) return "it has changed";
      await t.write(path, String(to));
      return null;
    });
    if (wrong === null) this.#context.log.debug(`backend: ${stateName(to)}`);
    return true;
  }

  async #inDirectory(
    work: (t: Parameters<Parameters<StoreClient["transaction"]>[0]>[0]) => Promise<string | null>,
  ): Promise<string | null> {
    const { id, attachId, onWrite } = this.#context;
    const wrong = await this.#parts.store.transaction(async (t) => {
      const found = await t.readVisible(`${backendPath(id)}/${ATTACH_ID_NODE}`);
      return found === attachId() ? await work(t) : "its directory is another one, or gone";
    });
    onWrite();
    return wrong;
  }

  /** What a guest does wrong is told, each thing once in a row. */
  #complain(text: string): void {
    if (text === this.#complaint || this.#isOver) return;
    this.#complaint = text;
    this.#context.log.warning(text);
  }
}
