/** The handshake's table: whatever the states, it comes to rest, and where it should. */
import { describe, expect, test } from "bun:test";
import { type Deed, nextDeed, type Standing } from "../../../core/daemon/servers/handshake.ts";
import type { XenbusState } from "../../../core/xen/states.ts";

const STATES = [undefined, 0, 1, 2, 3, 4, 5, 6, 7, 8] as (XenbusState | undefined)[];
const LINKS = ["none", "open", "closing", "expired"] as const;

function* standings(): Generator<Standing> {
  for (const online of [true, false]) {
    for (const usable of [true, false]) {
      for (const back of STATES) {
        for (const front of STATES) {
          for (const link of LINKS) yield { online, usable, back, front, link };
        }
      }
    }
  }
}

/** What comes of a deed that succeeds. */
function after(standing: Standing, deed: Deed): Standing {
  switch (deed.do) {
    case "nothing":
      return standing;
    case "write":
      return { ...standing, back: deed.state };
    case "connect":
      return { ...standing, back: 4, link: "open" };
    case "disconnect":
      return { ...standing, link: "none" };
    case "close":
      return { ...standing, link: "closing" };
  }
}

/** Where it comes to rest, with all states on the way. */
function rest(standing: Standing): { end: Standing; way: Standing[] } {
  const way = [standing];
  for (let deeds = 0; deeds < 8; deeds++) {
    const next = after(way.at(-1)!, nextDeed(way.at(-1)!));
    if (next === way.at(-1)) break;
    way.push(next);
  }
  return { end: way.at(-1)!, way };
}

const shown = (standing: Standing) => JSON.stringify(standing);

describe("from anywhere", () => {
  test("it comes to rest before anybody is asked to look again", () => {
    for (const standing of standings()) {
      expect([shown(standing), rest(standing).way.length < 8]).toEqual([shown(standing), true]);
    }
  });

  test("a guest is connected only where both want it, and the server can", () => {
    for (const standing of standings()) {
      if (nextDeed(standing).do !== "connect") continue;
      const { online, usable, front, link } = standing;
      expect([shown(standing), online, usable, front === 3 || front === 4, link])
        .toEqual([shown(standing), true, true, true, "none"]);
    }
  });

  test("what is shared is let go before the backend is in state 2 or 6", () => {
    for (const standing of standings()) {
      const deed = nextDeed(standing);
      if (deed.do !== "write" || deed.state === 5) continue;
      expect([shown(standing), standing.link]).toEqual([shown(standing), "none"]);
    }
  });

  test("one that is not wanted, or cannot be served, gets no further than Closed", () => {
    for (const standing of standings()) {
      if (standing.online && standing.usable) continue;
      for (const { back } of rest(standing).way.slice(1)) {
        expect([shown(standing), (back === 2 || back === 4) && standing.back !== back])
          .toEqual([shown(standing), false]);
      }
    }
  });

  test("a removal ends in Closed, at once when the guest has gone, and in time when it does not", () => {
    for (const standing of standings()) {
      if (standing.online || standing.back !== 5) continue;
      const { end } = rest(standing);
      const late = rest(end.link === "closing" ? { ...end, link: "expired" } : end).end;
      expect([shown(standing), late.back, late.link]).toEqual([shown(standing), 6, "none"]);
      if (standing.front === 6 || standing.front === undefined) expect(end.back).toBe(6);
    }
  });
});

describe("frontends", () => {
  const at = (back: number, front: number | undefined, more: Partial<Standing> = {}): Standing => ({
    online: true,
    usable: true,
    link: "none",
    back: back as XenbusState,
    front: front as XenbusState | undefined,
    ...more,
  });

  test.each([
    ["Linux waits in 3", at(2, 3), 4, "open"],
    ["mini-os goes to 4 by itself", at(2, 4), 4, "open"],
    ["one that has not begun is waited for", at(2, 1), 2, "none"],
    ["an unbound driver leaves 6", at(4, 6, { link: "open" }), 2, "none"],
    ["one that is bound again without asking", at(2, 3), 4, "open"],
    ["… while its backend was still in 6", at(6, 3), 4, "open"],
    ["… and before anybody has seen it go", at(4, 3, { link: "expired" }), 4, "open"],
    ["a kernel started by another: 5", at(4, 5, { link: "open" }), 5, "closing"],
    ["… then 6", at(5, 6, { link: "closing" }), 6, "none"],
    ["… then 1", at(6, 1), 2, "none"],
    ["a guest that has begun anew without a word", at(4, 1, { link: "open" }), 2, "none"],
    ["a guest that is gone", at(4, undefined, { link: "open" }), 6, "none"],
    ["… before it has connected", at(2, undefined), 6, "none"],
    ["… when its server has failed", at(4, undefined, { usable: false }), 6, "none"],
    ["a guest that writes nonsense is waited for", at(4, 0, { link: "open" }), 4, "open"],
    ["its server has failed: the guest is waited for", at(5, 4, { usable: false }), 5, "none"],
    ["… until it has closed", at(5, 6, { usable: false }), 6, "none"],
    ["… and is not served again", at(6, 3, { usable: false }), 6, "none"],
  ])("%s", (_, standing, back, link) => {
    const { end } = rest(standing);
    expect([end.back as number | undefined, end.link]).toEqual([back, link as Standing["link"]]);
  });
});
