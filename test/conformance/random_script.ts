/**
 * Random scripts for a store server: what several connections do, in and out of transactions, with
 * every answer and every event written down. Two servers that write the same behave the same.
 */
import * as fc from "fast-check";
import { Op } from "../../core/xenstore/operations.ts";
import { RawConnection } from "./raw_connection.ts";
import type { ServerUnderTest } from "./bench.ts";

/** What happens in one step. */
interface Step {
  /** Which connection acts: two of domain 0's, one of each guest's. */
  readonly who: number;
  readonly what:
    | "ask"
    | "watch"
    | "unwatch"
    | "reset"
    | "commit"
    | "abort"
    | "die"
    | "live"
    | "target"
    | "odd";
  /** For "ask". */
  readonly op: keyof typeof payloads;
  /** Below the script's own directory. */
  readonly path: string;
  /** Which of the connection's transactions; 0 for none. */
  readonly tx: number;
  readonly value: string;
  /** For a watch: whether its token is that of others, so that their events are equal. */
  readonly shared: boolean;
  /** Whether a path that stands below the caller's home is given as seen from there. */
  readonly relative: boolean;
  /** For "odd". */
  readonly odd: keyof typeof oddities;
  /** Letters and who they are for: a domid, or a word for one (see {@link domidOf}). */
  readonly list: readonly (readonly [string, string])[];
}

/** A domain other than the two guests, that dies and comes back. */
const MORTAL = "mortal";

/** The guests that act; both exist, and are idle between scripts. */
export const GUESTS: readonly [number, number] = [11, 12];

const paths = ["", "/a", "/b", "/a/a", "/a/b", "/a/a/a", "/a/b/c", "/b/a", "/b/a/a"] as const;

/** What a request says that is wrong, seldom, or both; of a path that the script chose. */
const oddities: Record<string, (path: string, step: Step) => [op: number, payload: string]> = {
  "part of a listing": (path, { value }) => [Op.DIRECTORY_PART, `${path}\0${value.length * 2}\0`],
  "unwatch a bad path": (_, { value }) => [Op.UNWATCH, `/a//b${value}/\0t\0`],
  "unwatch a bad byte": (path) => [Op.UNWATCH, `${path}/a b\0t\0`],
  "unwatch nothing": () => [Op.UNWATCH, "\0t\0"],
  "watch a bad path": (path) => [Op.WATCH, `${path}/\0t\0`],
  "watch a special name": (_, { value }) => [Op.WATCH, `@${value}special\0t\0`],
  "watch with three strings": (path) => [Op.WATCH, `${path}\0t\x001\0`],
  "read a bad path": (path) => [Op.READ, `${path}//a\0`],
  "write without a path": () => [Op.WRITE, "\0x"],
  "remove a bad path": (path) => [Op.RM, `${path}/.\0`],
  "permissions of nobody": (path) => [Op.SET_PERMS, `${path}\0`],
  "permissions that are none": (path) => [Op.SET_PERMS, `${path}\0x0\0`],
  "watch domains": (_, { value }) => [Op.WATCH, `${specialName(value)}\0t\0`],
  // Not by guests: 4.17 may die of that (docs/protocol-notes.md).
  "who hears of domains": (path, { who, value, list }) =>
    who < 2
      ? [Op.SET_PERMS, `${specialName(value)}\0n0\0${list.length > 1 ? "r12\0" : ""}`]
      : [Op.READ, `${path}/absent\0`],
  "home": (_, { who }) => [Op.GET_DOMAIN_PATH, `${who}\0`],
  "unknown": (path) => [99, `${path}\0`],
};

function specialName(value: string): string {
  return value === "x" ? "@introduceDomain" : "@releaseDomain";
}

const payloads = {
  READ: (path: string) => `${path}\0`,
  DIRECTORY: (path: string) => `${path}\0`,
  GET_PERMS: (path: string) => `${path}\0`,
  MKDIR: (path: string) => `${path}\0`,
  RM: (path: string) => `${path}\0`,
  WRITE: (path: string, { value }: Step) => `${path}\0${value}`,
  SET_PERMS: (path: string, { list }: Step, mortal: number) =>
    `${path}\0${list.map(([letter, who]) => `${letter}${domidOf(who, mortal)}\0`).join("")}`,
};

function domidOf(who: string, mortal: number): string {
  return who === MORTAL ? String(mortal) : who;
}

const entry = fc.tuple(
  fc.constantFrom("n", "r", "w", "b"),
  fc.constantFrom("0", ...GUESTS.map(String), MORTAL, "900"),
);

/** Scripts, whose steps shrink to what matters. */
export const scripts: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record<Step>({
    who: fc.constantFrom(0, 0, 1, 2, 3),
    what: fc.oneof(
      { weight: 14, arbitrary: fc.constant("ask" as const) },
      { weight: 4, arbitrary: fc.constantFrom("watch", "watch", "watch", "unwatch") },
      { weight: 4, arbitrary: fc.constantFrom("commit", "commit", "commit", "abort") },
      { weight: 2, arbitrary: fc.constantFrom("die", "live", "target") },
      { weight: 2, arbitrary: fc.constantFrom("odd", "odd", "odd", "reset") },
    ),
    op: fc.constantFrom(
      ...["READ", "DIRECTORY", "WRITE", "WRITE", "WRITE", "MKDIR", "RM", "GET_PERMS"] as const,
      ...["SET_PERMS", "SET_PERMS"] as const,
    ),
    path: fc.constantFrom(...paths),
    tx: fc.constantFrom(0, 0, 0, 1, 2),
    value: fc.constantFrom("", "x", "y"),
    shared: fc.boolean(),
    relative: fc.boolean(),
    odd: fc.constantFrom(...Object.keys(oddities)),
    list: fc.array(entry, { minLength: 1, maxLength: 3 }),
  }),
  { minLength: 5, maxLength: 40 },
);

/** A transaction that is open, and where in the record its answers stand. */
interface Open {
  readonly id: number;
  readonly answers: number[];
}

/**
 * Plays a script.
 * @param number of the script: it works below a directory, and with a mortal domain, of its own
 * @returns the record: a line for each answer and event, then what the tree looks like in the end
 */
export async function play(
  server: ServerUnderTest,
  script: readonly Step[],
  number: number,
): Promise<string[]> {
  // Every other one works in a guest's home, where paths may be relative.
  const home = `/local/domain/${GUESTS[0]}`;
  const directory = number % 2 === 0 ? `${home}/script${number}` : `/script${number}`;
  const mortal = 1000 + number;
  const record: string[] = [];
  await server.introduce(mortal);
  const connections: RawConnection[] = [];
  for (const domid of [0, 0, ...GUESTS]) {
    connections.push(await RawConnection.open(server.socketPath(domid)));
  }
  const [dom0] = connections as [RawConnection];
  const open = connections.map(() => new Map<number, Open>());
  const unsettled = new Set<Open>();

  /** Events of all, each in its order; a request of each makes sure that they have come. */
  const collect = async () => {
    const events = await Promise.all(connections.map((connection) => connection.allEvents()));
    for (const [index, those] of events.entries()) {
      for (const event of those) record.push(`  ${index}: ${event}`);
    }
  };

  const act = async (step: Step): Promise<string> => {
    const connection = connections[step.who]!;
    const transactions = open[step.who]!;
    const whole = directory + step.path;
    const atHome = step.relative && step.who === 2 && whole.startsWith(home);
    const path = atHome ? whole.slice(home.length + 1) : whole;
    const watch = `${path}\0t${step.shared ? "" : step.path}\0`;
    switch (step.what) {
      case "watch":
        return await connection.ask(Op.WATCH, watch);
      case "unwatch":
        return await connection.ask(Op.UNWATCH, watch);
      case "reset":
        // It ends the connection's transactions, too.
        transactions.clear();
        return await connection.ask(Op.RESET_WATCHES, "\0");
      case "odd":
        // A generation is each server's own number.
        return (await connection.ask(...oddities[step.odd]!(path, step))).replace(/^\d+\|/, "G|");
      case "die":
        await server.destroy(mortal);
        return "";
      case "live":
        await server.introduce(mortal);
        return "";
      case "target":
        // Not the mortal: 4.17 loses count of a target that is let go of, and may die of that later.
        return await dom0.ask(
          Op.SET_TARGET,
          `${GUESTS[0]}\0${GUESTS[step.value === "x" ? 1 : 0]}\0`,
        );
      case "commit":
      case "abort": {
        const transaction = transactions.get(step.tx);
        if (transaction === undefined) return "nothing";
        transactions.delete(step.tx);
        const how = step.what === "commit" ? "T\0" : "F\0";
        const answer = await connection.ask(Op.TRANSACTION_END, how, transaction.id);
        if (step.what === "commit" && answer === "OK") unsettled.delete(transaction);
        return answer;
      }
      case "ask": {
        let transaction = transactions.get(step.tx);
        if (step.tx !== 0 && transaction === undefined) {
          transaction = { id: await connection.begin(), answers: [] };
          transactions.set(step.tx, transaction);
          unsettled.add(transaction);
        }
        transaction?.answers.push(record.length);
        const payload = payloads[step.op](path, step, mortal);
        return await connection.ask(Op[step.op], payload, transaction?.id ?? 0);
      }
    }
  };

  let alive = true;
  await dom0.ask(Op.WRITE, `${directory}\0`);
  await dom0.ask(Op.SET_PERMS, `${directory}\0b0\0`);
  await dom0.ask(Op.WATCH, "@introduceDomain\0introduce\0");
  await dom0.ask(Op.WATCH, "@releaseDomain\0release\0");
  await collect();
  for (const step of script) {
    if (step.what === "die" && !alive || step.what === "live" && alive) continue;
    if (step.what === "die" || step.what === "live") alive = !alive;
    const answer = await act(step);
    const name = step.what === "ask" ? step.op : step.what === "odd" ? step.odd : step.what;
    record.push(`${step.who}: ${name} ${step.path} tx ${step.tx}: ${answer}`);
    await collect();
  }
  // What a transaction sees that cannot be committed is a mixture, and nobody's business.
  for (const { answers } of unsettled) {
    for (const at of answers) record[at] = "(in a transaction that was not committed)";
  }
  for (const path of paths) {
    const answers: string[] = [];
    for (const op of [Op.READ, Op.GET_PERMS, Op.DIRECTORY]) {
      answers.push(await dom0.ask(op, `${directory}${path}\0`));
    }
    record.push(`in the end ${path}: ${answers.join("  ")}`);
  }
  for (const connection of connections) {
    await connection.ask(Op.RESET_WATCHES, "\0");
    connection.close();
  }
  await undo(server);
  if (alive) await server.destroy(mortal);
  return record;
}

/** Undoes what outlives a script. */
async function undo(server: ServerUnderTest): Promise<void> {
  const dom0 = await RawConnection.open(server.socketPath(0));
  await dom0.ask(Op.SET_TARGET, `${GUESTS[0]}\0${GUESTS[0]}\0`);
  for (const name of ["@introduceDomain", "@releaseDomain"]) {
    await dom0.ask(Op.SET_PERMS, `${name}\0n0\0`);
  }
  dom0.close();
}
