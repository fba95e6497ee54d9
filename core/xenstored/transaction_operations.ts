/** TRANSACTION_START, TRANSACTION_END. */
import { nulTerminated } from "../xenstore/codec.ts";
import { acknowledge, answer, type Call, onlyString } from "./call.ts";
import { require } from "./failure.ts";
import { ServerTransaction } from "./transaction.ts";

/** Ids are counted for each connection, and never 0. */
export function startTransaction(call: Call): void {
  const { connection, server, transaction } = call;
  require(transaction === null, "EBUSY");
  if (!connection.privileged) {
    const { transactions: limit } = server.quotas;
    // As with watches, 4.17 grants one more than the limit.
    require(limit === 0 || server.used(connection.domid, "transactions") <= limit, "ENOSPC");
  }
  do {
    connection.lastTransaction = connection.lastTransaction === 0xffffffff
      ? 1
      : connection.lastTransaction + 1;
  } while (connection.transactions.has(connection.lastTransaction));
  const limit = connection.privileged ? 0 : server.quotas.transactionNodes;
  const id = connection.lastTransaction;
  connection.transactions.set(id, new ServerTransaction(id, server.tree, limit));
  answer(call, nulTerminated(String(id)));
}

/** Commits or aborts. */
export function endTransaction(call: Call): void {
  const { connection, server, transaction } = call;
  const how = onlyString(call);
  require(how === "T" || how === "F", "EINVAL");
  require(transaction !== null, "ENOENT");
  // Whatever comes of it, the id is gone.
  connection.transactions.delete(transaction.id);
  if (how === "T") {
    transaction.checkWhole();
    checkNodes(call, transaction);
    for (const { path, exact, node } of transaction.commit()) server.fire(path, exact, node);
  }
  acknowledge(call);
}

/**
 * What a transaction creates counts only when it is committed, and then 4.17 does not let the limit
 * be reached, whereas a node created outside may reach it. It looks before it looks for conflicts.
 */
function checkNodes(
  { connection, server }: { connection: Call["connection"]; server: Call["server"] },
  transaction: ServerTransaction,
): void {
  const { nodes: limit } = server.quotas;
  if (connection.privileged || limit === 0) return;
  const gained = transaction.gainedBy(connection.domid);
  require(gained <= 0 || server.tree.ownedBy(connection.domid) + gained < limit, "ENOSPC");
}
