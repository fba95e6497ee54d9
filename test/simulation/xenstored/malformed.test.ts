/**
 * Requests that no client library sends. They are not in the conformance suite, since Debian's 4.17
 * daemon does not survive them: for a single-path request whose payload is not one string it goes on
 * without a path, answers with whatever errno is left over (ENOENT and ENOMEM were seen), and dies
 * of it when that errno makes it look for the path's parents. Later versions answer EINVAL, and so
 * do we.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Op } from "../../../core/xenstore/operations.ts";
import { RawConnection } from "../../conformance/raw_connection.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../../support/embedded_store.ts";

let store: EmbeddedStore;

beforeAll(async () => {
  store = await startEmbeddedStore([]);
});

afterAll(() => store.stop());

test.each([
  ["empty", ""],
  ["no NUL", "/tool"],
  ["two NULs", "/tool\0\0"],
  ["bytes behind the NUL", "/tool\0x"],
])("single-path operations want exactly one NUL, at the end: %s", async (_, payload) => {
  const c = await RawConnection.open(store.socketPath(0));
  for (const op of [Op.READ, Op.DIRECTORY, Op.GET_PERMS, Op.MKDIR, Op.RM]) {
    expect(await c.ask(op, payload)).toBe("!EINVAL");
  }
  c.close();
});
