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
  const store = program.command("store").description("look at and change the store")
    .example("xdevd store ls", "all that this domain can see")
    .example("xdevd store watch backend", "what changes in what it serves, until ^C");
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
    .example("xdevd store read domid name", "what this domain is called, by number and by name")
    .example("xdevd store read /local/domain/7/name", "the name of domain 7")
    .action((paths: string[], options) => act(options, (a) => a.readNodes(paths)));
  sub("write <path-value...>", "write nodes, all or nothing: PATH VALUE …")
    .example("xdevd store write data/note hello", "below this domain's own directory")
    .example('xdevd store write /t/a 1 /t/b "two words"', "two nodes at a time")
    .action((pairs: string[], options) => act(options, (a) => a.writeNodes(pairs)));
  sub("list <path>", "print the names of a node's children")
    .example("xdevd store list /local/domain", "the domains that this one can see")
    .example("xdevd store list backend/vbd", "the guests that this domain serves disks")
    .action((path: string, options) => act(options, (a) => a.listNode(path)));
  sub("ls [path]", "print everything below a node")
    .example("xdevd store ls", "all that this domain can see")
    .example("xdevd store ls -p backend", "what it serves, with who may read and write it")
    .option("-p, --permissions", "with permissions")
    .action((path: string | undefined, options: { store?: string; permissions?: boolean }) =>
      act(options, (a) => a.listTree(path ?? "/", options.permissions ?? false))
    );
  sub("rm <path...>", "remove nodes with all below them")
    .example("xdevd store rm data/note", "one node, with all below it")
    .example("xdevd store rm /t/a /t/b", "two of them")
    .action((paths: string[], options) => act(options, (a) => a.removeNodes(paths)));
  sub("exists <path...>", "exit with 0 if the nodes exist, else with 1")
    .example("xdevd store exists /local/domain/7", "whether domain 7 is there")
    .example("xdevd store exists backend/vif data/note && echo both", "in a script")
    .action((paths: string[], options) => act(options, (a) => a.nodesExist(paths)));
  sub("chmod <path> <permission...>", "set permissions, the owner first: PATH n1 r7 …")
    .example("xdevd store chmod /t/a n0 r7", "domain 0 owns it; domain 7 may read, others may not")
    .example("xdevd store chmod data/note b1", "domain 1 owns it, and all may read and write")
    .action((path: string, permissions: string[], options) =>
      act(options, (a) => a.setPermissions(path, permissions))
    );
  sub("introduce", "tell a test store of a new domain")
    .example(
      "xdevd store introduce 9 --store /tmp/store/socket",
      "domain 9 in a store of `xdevd xenstored`",
    )
    .example("XENSTORED_PATH=/tmp/store/socket xdevd store introduce 9", "the same")
    .argument("<domid>", "the domain", domid)
    .action((id: number, options) => act(options, (a) => a.introduceDomain(id)));
  sub("release", "make the store forget a domain, as if it had died")
    .example(
      "xdevd store release 9 --store /tmp/store/socket",
      "domain 9 in a store of `xdevd xenstored`",
    )
    .example("XENSTORED_PATH=/tmp/store/socket xdevd store release 9", "the same")
    .argument("<domid>", "the domain", domid)
    .action((id: number, options) => act(options, (a) => a.releaseDomain(id)));
  sub("selftest", "check that this store behaves as xdevd expects")
    .example("xdevd store selftest", "on the store of this domain, below data/xdevd-selftest")
    .example(
      "xdevd store selftest --store /tmp/store/domain-1.sock",
      "on a store of `xdevd xenstored`",
    )
    .action(async (options: { store?: string }) => {
      const { selftest } = await import("./selftest.ts");
      finish(await selftest(options.store));
    });
  sub("watch <path>", "print each change at or below a node")
    .example("xdevd store watch backend", "all that changes in what this domain serves, until ^C")
    .example("xdevd store watch -n 1 /local/domain/7/state", "the next change of one node")
    .option("-n, --count <n>", "end after so many", positive)
    .action((path: string, options: { store?: string; count?: number }) =>
      act(options, (a) => a.watchNode(path, options.count))
    );
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("Expected a positive number.");
  return Number(text);
}
