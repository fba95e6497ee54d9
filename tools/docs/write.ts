/** Writes the documents that are made from the code (`npm run docs`). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandLine } from "../command_line.ts";
import { DOCS, DOCUMENTS } from "./documents.ts";

const help = `npm run docs

Writes the documents in docs that are made from the code:

  ${Object.keys(DOCUMENTS).join("\n  ")}

  --help  this
`;

commandLine("docs", help, { options: {} });

for (const [name, make] of Object.entries(DOCUMENTS)) writeFileSync(join(DOCS, name), await make());
