/** The operations on nodes, shared by the client and its transactions. */
import {
  concat,
  type Message,
  nulTerminated,
  type Part,
  splitText,
  toBytes,
  toText,
} from "./codec.ts";
import { REPLY_MAX, type RequestOptions } from "./connection.ts";
import { ArgumentError, isServerError, ProtocolError, ServerError, StoreError } from "./errors.ts";
import { Op } from "./operations.ts";
import { checkPath } from "./paths.ts";
import { formatPermission, type Permission, toldPermission } from "./permissions.ts";

/**
 * How often a listing in parts is begun. A part takes a store some ten µs, so only who changes a
 * directory for nothing else gets there.
 */
const LISTING_ATTEMPTS = 100;

/** Most parts of a listing of {@link REPLY_MAX} bytes: a part is as full as the longest name lets it be. */
const PARTS_MAX = 4096;

/**
 * Reading and writing nodes. Every function may throw ServerError, ArgumentError (nothing was
 * sent), ConnectionError, SilenceError, or the reason of an aborted signal.
 */
export abstract class NodeAccess {
  /** Sends a request in this object's context (a transaction or none). */
  protected abstract send(
    type: number,
    payload: Uint8Array,
    path: string | undefined,
    options: RequestOptions | undefined,
  ): Promise<Message>;

  /** The value of a node; bytes, possibly none. */
  read(path: string, options?: RequestOptions): Promise<Uint8Array> {
    return this.#one(Op.READ, path, options).then(payloadOf);
  }

  /** The value of a node, decoded as UTF-8. NULs are kept. */
  readText(path: string, options?: RequestOptions): Promise<string> {
    return this.#one(Op.READ, path, options).then(textOf);
  }

  /** As {@link readText}, but undefined for a node that is absent or hidden ({@link absentOrHidden}). */
  readVisible(path: string, options?: RequestOptions): Promise<string | undefined> {
    // One step for both: of these there are more than of all the rest.
    return this.#one(Op.READ, path, options).then(textOf, noneIfHidden);
  }

  /** As {@link readText}, but undefined when there is no such node. */
  readOptional(path: string, options?: RequestOptions): Promise<string | undefined> {
    return absent(this.readText(path, options));
  }

  async exists(path: string, options?: RequestOptions): Promise<boolean> {
    return await absent(this.read(path, options)) !== undefined;
  }

  /** Names of a node's children, in the server's order. */
  async list(path: string, options?: RequestOptions): Promise<string[]> {
    try {
      return splitText((await this.#one(Op.DIRECTORY, path, options)).payload);
    } catch (error) {
      if (isServerError(error, "E2BIG")) return await this.#listInParts(path, error, options);
      throw error;
    }
  }

  /** As {@link list}, but empty when there is no such node. */
  async listOptional(path: string, options?: RequestOptions): Promise<string[]> {
    return await absent(this.list(path, options)) ?? [];
  }

  /** Writes a value; missing ancestors are created empty. */
  async write(path: string, value: Part, options?: RequestOptions): Promise<void> {
    checkPath(path);
    const payload = typeof value === "string"
      ? toBytes(`${path}\0${value}`)
      : concat([path, "\0", value]);
    await this.send(Op.WRITE, payload, path, options);
  }

  /** Creates an empty node, with its ancestors; an existing one is left alone. */
  async makeDirectory(path: string, options?: RequestOptions): Promise<void> {
    await this.#one(Op.MKDIR, path, options);
  }

  /** Removes a node with all below it. A missing node whose parent exists is no error. */
  async remove(path: string, options?: RequestOptions): Promise<void> {
    await this.#one(Op.RM, path, options);
  }

  /** As {@link remove}; nothing there at all is no error either. */
  async removeOptional(path: string, options?: RequestOptions): Promise<void> {
    await absent(this.remove(path, options));
  }

  /** The permission list; special (`@…`) paths are allowed. */
  async getPermissions(path: string, options?: RequestOptions): Promise<Permission[]> {
    const reply = await this.#one(Op.GET_PERMS, path, options, true);
    return splitText(reply.payload).map(toldPermission);
  }

  /** Replaces the permission list. @throws ArgumentError for an empty list */
  async setPermissions(
    path: string,
    permissions: readonly Permission[],
    options?: RequestOptions,
  ): Promise<void> {
    checkPath(path, true);
    if (permissions.length === 0) {
      throw new ArgumentError(`permissions of ${path}: at least one entry is needed (the owner)`);
    }
    const payload = nulTerminated(path, ...permissions.map(formatPermission));
    await this.send(Op.SET_PERMS, payload, path, options);
  }

  #one(
    type: number,
    path: string,
    options: RequestOptions | undefined,
    special = false,
  ): Promise<Message> {
    try {
      checkPath(path, special);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.send(type, nulTerminated(path), path, options);
  }

  /**
   * DIRECTORY_PART: whole names from a byte offset, until an empty name marks the end.
   * @throws ProtocolError when that makes no sense, or no end; StoreError when it changes all the time
   */
  async #listInParts(
    path: string,
    tooBig: ServerError,
    options: RequestOptions | undefined,
  ): Promise<string[]> {
    for (let attempt = 1; attempt <= LISTING_ATTEMPTS; attempt++) {
      const names: string[] = [];
      let generation: string | undefined;
      let offset = 0;
      for (let parts = 1;; parts++) {
        const payload = nulTerminated(path, String(offset));
        let reply: Message;
        try {
          reply = await this.send(Op.DIRECTORY_PART, payload, path, options);
        } catch (error) {
          throw isServerError(error, "ENOSYS") ? tooBig : error;
        }
        const head = reply.payload.indexOf(0);
        if (head < 0) throw new ProtocolError(`DIRECTORY_PART ${path}: the generation is missing`);
        const now = toText(reply.payload.subarray(0, head));
        generation ??= now;
        if (now !== generation) break;
        const body = reply.payload.subarray(head + 1);
        const ended = body.length === 0 || body.at(-1) === 0 && (body.length === 1 ||
              body.at(-2) === 0);
        const part = ended ? body.subarray(0, Math.max(0, body.length - 1)) : body;
        if (part.length > 0 && part.at(-1) !== 0) {
          throw new ProtocolError(`DIRECTORY_PART ${path}: a part ends in half a name`);
        }
        for (const name of splitText(part)) names.push(name);
        if (ended) return names;
        offset += body.length;
        if (offset > REPLY_MAX || parts >= PARTS_MAX) {
          throw new ProtocolError(
            `DIRECTORY_PART ${path}: the listing has no end: ${offset} bytes in ${parts} parts`,
          );
        }
      }
    }
    throw new StoreError(
      `${path}: its children changed ${LISTING_ATTEMPTS} times while they were listed`,
    );
  }
}

/**
 * As {@link absent}, but EACCES is taken for absence as well: that is what a domain is told of a node
 * that does not exist below one that it may not read. Right for nodes that it may read if they exist.
 */
export function absentOrHidden<T>(operation: Promise<T>): Promise<T | undefined> {
  return operation.catch(noneIfHidden);
}

/** Turns the store's "no such node" into undefined. */
export function absent<T>(operation: Promise<T>): Promise<T | undefined> {
  return operation.catch(noneIfAbsent);
}

function noneIfHidden(error: unknown): undefined {
  if (!isServerError(error, "ENOENT", "EACCES")) throw error;
}

function noneIfAbsent(error: unknown): undefined {
  if (!isServerError(error, "ENOENT")) throw error;
}

function textOf(message: Message): string {
  return toText(message.payload);
}

function payloadOf(message: Message): Uint8Array {
  return message.payload;
}
