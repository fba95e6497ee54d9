/** TRANSACTION_START, TRANSACTION_END. */
import { type Answer, answerStrings, type Call, DONE, onlyString } from "./call.ts";
import { require } from "./failure.ts";
import { ServerTransaction } from "./transaction.ts";

/** Ids are counted for each connection, and never 0. */
export function startTransaction(call: Call): Answer {
  const { connection, store, transaction } = call;
  require(transaction === null, "EBUSY");
  if (!connection.privileged) {
    const { transactions: limit } = store.quotas;
    // As with watches, 4.17 grants one more than the limit.
    require(limit === 0 || store.used(connection.domid, "transactions") <= limit, "ENOSPC");
  }
  do {
    connection.lastTransaction = connection.lastTransaction === 0xffffffff
      ? 1
      : connection.lastTransaction + 1;
  } while (connection.transactions.has(connection.lastTransaction));
  const limit = connection.privileged ? 0 : store.quotas.transactionNodes;
  const id = connection.lastTransaction;
  connection.transactions.set(id, new ServerTransaction(id, store.tree, limit));
  return answerStrings(String(id));
}

/** Commits or aborts. */
export function endTransaction(call: Call): Answer {
  const { connection, store, transaction } = call;
  const how = onlyString(call);
  require(how === "T" || how === "F", "EINVAL");
  require(transaction !== null, "ENOENT");
  // Whatever comes of it, the id is gone.
  connection.transactions.delete(transaction.id);
  if (how === "T") {
    transaction.checkWhole();
    checkOwners(call, transaction);
    transaction.commit((path, exact, before) =>
      store.fire(path, exact, store.tree.get(path), before?.permissions)
    );
  }
  return DONE;
}

/**
 * What a transaction creates counts only when it is committed, and then 4.17 does not let the limit
 * be reached, whereas a node created outside may reach it. It looks before it looks for conflicts, and
 * also finds out that an owner has died meanwhile.
 * @throws Failure ENOSPC, ENOMEM
 */
function checkOwners({ connection, store }: Call, transaction: ServerTransaction): void {
  const { nodes: limit } = store.quotas;
  const counts = transaction.created && !connection.privileged && limit !== 0;
  for (const [domid, gained] of transaction.owners) {
    require(store.domains.has(domid), "ENOMEM");
    const full = domid !== 0 && store.tree.ownedBy(domid) + gained >= limit;
    require(!counts || !full, "ENOSPC");
  }
}
