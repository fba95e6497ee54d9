/** A server, as its process runs it: what the daemon calls, and what comes of it. */
import type { ServerManifest } from "../../contract/v2/manifest.ts";
import type { OpenServer, ServerOpener, SocketStream } from "../../contract/v2/server.ts";
import { encodeMessage, MessageSplitter } from "../../core/daemon/control/messages.ts";
import {
  type Offer,
  type OpenCall,
  REASON_MAX,
  type ServerCode,
  type ServerNotices,
  type ServerStatus,
} from "../../core/daemon/servers/protocol.ts";
import { oneLine } from "../../core/log/log.ts";
import type { ByteStream, Clock } from "../../platform/types.ts";
import { type OpenConnection, openConnection } from "../../platform/xen/connection.ts";
import type { XenDevices } from "../../platform/xen/devices.ts";

/** How long a server has after its connection has ended, in ms; and at its own end. */
export const SERVE_GRACE_MS = 500;
export const END_GRACE_MS = 2_000;

/** What a server is run with. */
export interface RunnerParts {
  readonly clock: Clock;
  /** @throws SystemError */
  openDevices(): XenDevices;
  /** @throws Error why it cannot be loaded */
  load(code: ServerCode): Promise<ServerOpener>;
  /** From here on it is nobody who could do harm. @throws SystemError */
  dropRights(frontendDomid: number): void;
  connect(path: string): Promise<SocketStream>;
}

type Parameters_ = Readonly<Record<string, unknown>>;

/** Runs one device's server. */
export class ServerRunner {
  readonly #parts: RunnerParts;
  #daemon: ByteStream | null = null;
  #devices: XenDevices | null = null;
  #manifest: ServerManifest | null = null;
  #guest = -1;
  #server: OpenServer | null = null;
  #failure: string | null = null;
  #connection: OpenConnection | null = null;
  #offer: Pick<Offer, "references" | "port"> | null = null;
  /** The `serve` that runs; it may outlast its connection. */
  #serving: Promise<void> | null = null;
  #calls: Promise<void> = Promise.resolve();
  #quitting: Promise<void> | null = null;
  readonly #over = Promise.withResolvers<void>();

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  /** Resolves when the process is to end. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** A daemon has connected: the one that was there before has died. */
  attach(stream: ByteStream): void {
    this.#daemon?.close();
    this.#daemon = stream;
    const splitter = new MessageSplitter();
    stream.start({
      data: (chunk) => {
        try {
          for (const message of splitter.push(chunk)) this.#take(stream, message);
        } catch {
          stream.close();
        }
      },
      closed: () => {
        if (this.#daemon === stream) this.#daemon = null;
      },
    });
  }

  /** Ends all: no guest is connected any more, and the server has done its last things. */
  quit(): Promise<void> {
    return this.#quitting ??= this.#quit();
  }

  async #quit(): Promise<void> {
    await this.#disconnect("its server ends");
    const end = this.#server?.end?.bind(this.#server);
    this.#server = null;
    try {
      if (end !== undefined) await this.#within(END_GRACE_MS, end());
    } catch (error) {
      this.#log("warning", `at its end: ${(error as Error).message}`);
    }
    this.#devices?.close();
    this.#over.resolve();
  }

  #take(stream: ByteStream, { method, parameters }: Parameters_): void {
    const answer = async () => {
      try {
        const value = await this.#perform(String(method), (parameters ?? {}) as Parameters_);
        stream.write(encodeMessage({ parameters: { ...value } }));
      } catch (error) {
        const reason = oneLine((error as Error).message, REASON_MAX);
        stream.write(encodeMessage({ error: "failed", parameters: { reason } }));
      }
    };
    this.#calls = this.#calls.then(answer);
  }

  async #perform(method: string, given: Parameters_): Promise<object> {
    switch (method) {
      case "open":
        await this.#open(given as unknown as OpenCall);
        return {};
      case "status":
        return {
          opened: this.#server !== null,
          failure: this.#failure,
          offer: this.#offer,
          serving: this.#serving !== null,
        } satisfies ServerStatus;
      case "connect":
        return await this.#connect(given as unknown as Offer);
      case "serve":
        this.#serve();
        return {};
      case "close":
        this.#connection?.close(String(given["reason"]));
        return {};
      case "disconnect":
        await this.#disconnect("the connection has ended");
        return {};
      case "quit":
        await this.quit();
        return {};
      default:
        throw new Error(`${method} is nothing that a server can do`);
    }
  }

  async #open({ code, id, settings, given }: OpenCall): Promise<void> {
    const { openDevices, load, dropRights, connect } = this.#parts;
    if (this.#manifest !== null) throw new Error("it is open already");
    const { server: manifest } = code.manifest;
    if (manifest === undefined) throw new Error("its plugin has no server");
    this.#manifest = manifest;
    this.#guest = id.frontendDomid;
    const devices = this.#devices = openDevices();
    devices.restrict(id.frontendDomid);
    const open = await load(code);
    this.#server = await open({
      ...{ id, settings, given, connect },
      log: {
        info: (text) => this.#log("info", text),
        warning: (text) => this.#log("warning", text),
      },
      fail: (reason) => this.#fail(reason),
    });
    dropRights(id.frontendDomid);
    if (this.#failure !== null) throw new Error(this.#failure);
  }

  async #connect(offer: Offer): Promise<object> {
    if (this.#server === null || this.#failure !== null) throw new Error("it does not serve");
    if (this.#connection !== null) throw new Error("a guest is connected already");
    if (this.#serving !== null) {
      throw this.#fail("it has not let go of its guest, who is back");
    }
    const { clock } = this.#parts;
    const guest = this.#guest;
    this.#connection = openConnection(this.#devices!, this.#manifest!, { guest, ...offer }, clock);
    this.#offer = { references: offer.references, port: offer.port };
    return {};
  }

  #serve(): void {
    const open = this.#connection;
    const server = this.#server;
    if (open === null || server === null) throw new Error("no guest is connected");
    const isOver = () => this.#connection !== open;
    const work = async () => {
      try {
        await server.serve(open.connection);
        if (!isOver()) this.#fail("it has ceased to serve");
      } catch (error) {
        if (!isOver()) this.#fail((error as Error)?.message ?? String(error));
      }
    };
    const serving: Promise<void> = this.#serving = work().finally(() => {
      if (this.#serving === serving) this.#serving = null;
    });
  }

  async #disconnect(reason: string): Promise<void> {
    const open = this.#connection;
    if (open === null) return;
    this.#connection = null;
    this.#offer = null;
    open.close(reason);
    open.end();
    if (this.#serving === null) return;
    await this.#within(SERVE_GRACE_MS, this.#serving).catch(() =>
      this.#log("warning", "it has not let go of its guest, whose connection has ended")
    );
  }

  /** The guest waits for nothing any more; the daemon is told why, now or when it asks. */
  #fail(reason: string): Error {
    const text = oneLine(reason, REASON_MAX);
    if (this.#failure === null) {
      this.#failure = text;
      this.#tell("failed", { reason: text });
      void this.#disconnect(text);
    }
    return new Error(text);
  }

  #log(level: "info" | "warning", text: string): void {
    this.#tell("log", { level, text: oneLine(text, REASON_MAX) });
  }

  #tell<Name extends keyof ServerNotices>(method: Name, parameters: ServerNotices[Name]): void {
    // Of a daemon that reads nothing, lines are not kept.
    if (method === "log" && (this.#daemon?.queued ?? 0) > 64 * 1024) return;
    this.#daemon?.write(encodeMessage({ method, parameters: { ...parameters } }));
  }

  /** @throws Error when it takes longer */
  async #within(ms: number, work: Promise<void>): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const cancel = this.#parts.clock.after(
      ms,
      () => reject(new Error(`it takes more than ${ms} ms`)),
    );
    try {
      await Promise.race([work, promise]);
    } finally {
      cancel();
    }
  }
}
