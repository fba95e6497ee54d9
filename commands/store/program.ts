/** The command line of `xdevd store`. */
import { type Command, InvalidArgumentError, type Option } from "../line/command.ts";
import { domid } from "../arguments.ts";
import type { StoreAction } from "./store.ts";

/** Adds it. */
export function addStore(
  program: Command,
  storeOption: () => Option,
  finish: (status: number) => void,
): void {
  const store = program.command("store").description("look at and change the store");
  const sub = (usage: string, description: string) =>
    store.command(usage).description(description).addOption(storeOption());
  const act = async (
    options: { store?: string },
    choose: (actions: typeof import("./store.ts")) => StoreAction,
  ) => {
    const actions = await import("./store.ts");
    finish(await actions.withStore(options.store, choose(actions)));
  };
  sub("read <path...>", "print the values of nodes")
    .action((paths: string[], options) => act(options, (a) => a.readNodes(paths)));
  sub("write <path-value...>", "write nodes, all or nothing: PATH VALUE …")
    .action((pairs: string[], options) => act(options, (a) => a.writeNodes(pairs)));
  sub("list <path>", "print the names of a node's children")
    .action((path: string, options) => act(options, (a) => a.listNode(path)));
  sub("ls [path]", "print everything below a node")
    .option("-p, --permissions", "with permissions")
    .action((path: string | undefined, options: { store?: string; permissions?: boolean }) =>
      act(options, (a) => a.listTree(path ?? "/", options.permissions ?? false))
    );
  sub("rm <path...>", "remove nodes with all below them")
    .action((paths: string[], options) => act(options, (a) => a.removeNodes(paths)));
  sub("exists <path...>", "exit with 0 if the nodes exist, else with 1")
    .action((paths: string[], options) => act(options, (a) => a.nodesExist(paths)));
  sub("chmod <path> <permission...>", "set permissions, the owner first: PATH n1 r7 …")
    .action((path: string, permissions: string[], options) =>
      act(options, (a) => a.setPermissions(path, permissions))
    );
  sub("introduce", "tell a test store of a new domain")
    .argument("<domid>", "the domain", domid)
    .action((id: number, options) => act(options, (a) => a.introduceDomain(id)));
  sub("release", "make the store forget a domain, as if it had died")
    .argument("<domid>", "the domain", domid)
    .action((id: number, options) => act(options, (a) => a.releaseDomain(id)));
  sub("selftest", "check that this store behaves as xdevd expects")
    .action(async (options: { store?: string }) => {
      const { selftest } = await import("./selftest.ts");
      finish(await selftest(options.store));
    });
  sub("watch <path>", "print each change at or below a node")
    .option("-n, --count <n>", "end after so many", positive)
    .action((path: string, options: { store?: string; count?: number }) =>
      act(options, (a) => a.watchNode(path, options.count))
    );
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("Expected a positive number.");
  return Number(text);
}
