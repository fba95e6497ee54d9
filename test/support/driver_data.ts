/** What is below a driver domain's `data` in the store. */
import type { StoreClient } from "../../core/xenstore/client.ts";

/** Paths below it, but for what the daemon says of itself. */
export async function leftInData(dom0: StoreClient, domid: number): Promise<string[]> {
  const base = `/local/domain/${domid}/data`;
  const [names, own] = await Promise.all(
    [base, `${base}/xdevd`].map((path) => dom0.listOptional(path)),
  );
  return [
    ...names!.filter((name) => name !== "xdevd"),
    ...own!.filter((name) => name !== "status").map((name) => `xdevd/${name}`),
  ];
}
