/** `xdevd status --domain`: in domain 0, what a driver domain's daemon says of itself. */
import { printTo } from "../../platform/self.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import { oneLine } from "../../core/log/log.ts";
import { domainStatusPath, parseDomainStatus } from "../../core/daemon/control/domain_status.ts";
import { nameOfDomain, resolveDomain } from "../../core/toolstack/domains.ts";
import { connectStore } from "../../machine/connect.ts";
import { printJson } from "../json_output.ts";
import type { StatusOptions } from "./options.ts";
import { totalOf } from "./status_text.ts";

/** Longest line, in characters. */
const LINE_MAX = 400;

/** @param domain by name or domid @throws CodedError */
export async function domainStatus(domain: string, options: StatusOptions): Promise<number> {
  const { store } = await connectStore(options.store);
  try {
    const domid = await resolveDomain(store, domain);
    const name = await nameOfDomain(store, domid);
    // All that is read: what else the driver domain may have written is nobody's business.
    const text = await store.readVisible(domainStatusPath(domid));
    const status = text === undefined ? null : parseDomainStatus(text);
    if (status === null) {
      throw new CodedError(
        "daemon-silent",
        text === undefined
          ? `${name} says nothing of itself: no xdevd serves it, or one that does not tell domain 0`
          : `what ${name} says of itself makes no sense; expected what an xdevd writes there`,
      );
    }
    if (options.json) {
      printJson({ domid, ...status });
      return ExitCode.Success;
    }
    const { version, ready, at, startedAt, states, failure } = status;
    const lines = [
      `${name}, by its own word of ${at}:`,
      `  xdevd ${version}, ${ready ? `serving since ${startedAt}` : "which has ended"}`,
      `  ${totalOf(new Map(Object.entries(states)))}`,
      ...(failure === null
        ? []
        : [`  last failure, ${failure.at}: ${failure.device}: ${failure.message}`]),
    ];
    printTo(1, lines.map((line) => `${oneLineKeepingIndent(line)}\n`).join(""));
    return ExitCode.Success;
  } finally {
    store.close();
  }
}

function oneLineKeepingIndent(line: string): string {
  const [, indent = "", text = ""] = /^( *)([^]*)$/.exec(line) ?? [];
  return indent + oneLine(text, LINE_MAX);
}
