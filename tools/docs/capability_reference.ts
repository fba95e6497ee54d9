/** The table of capabilities in docs/plugin-protocol.md. Pure. */
import {
  CAPABILITIES,
  type Capabilities,
  type CapabilityLimits,
  carries,
} from "../../contract/v1/capabilities.ts";

/** Between these lines of the page, the table is made from the code (`npm run docs`). */
const [BEGIN, END] = ["<!-- npm run docs writes this table -->\n", "\n<!-- end of the table -->"];

/** The page, with the table of these capabilities. @throws Error when it has no place for one */
export function protocolDocument(page: string, table: Capabilities = CAPABILITIES): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`no lines ${BEGIN.trim()} and ${END.trim()}`);
  return page.slice(0, begin + BEGIN.length) + capabilityReference(table) + page.slice(end);
}

/** A row for each capability that programs may have. */
export function capabilityReference(table: Capabilities = CAPABILITIES): string {
  const rows = Object.entries(table).filter(([, row]) => carries(row, "process")).map(
    ([name, { args, value = "", limits }]) => {
      const told = args.map((argument) => argument.told).filter((words) => words !== "");
      return `| \`${name}\` | ${told.join("; ")} | ${value}${limitsIn(limits)} |`;
    },
  );
  return ["| `capability` | `arguments` | `value` |", "| --- | --- | --- |", ...rows].join("\n");
}

function limitsIn({ bytes, kernelBytes, count }: CapabilityLimits = {}): string {
  const parts = [
    ...bytes === undefined ? [] : [`${bytes / 1024} KiB`],
    ...kernelBytes === undefined ? [] : [`${kernelBytes / 1024} KiB of a file of /proc or /sys`],
    ...count === undefined ? [] : [count.toLocaleString("en")],
  ];
  return parts.length === 0 ? "" : ` (at most ${parts.join(", ")})`;
}
