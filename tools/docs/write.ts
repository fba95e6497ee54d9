/** Writes the documents that are made from the code (`npm run docs`). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DOCS, DOCUMENTS } from "./documents.ts";

for (const [name, make] of Object.entries(DOCUMENTS)) writeFileSync(join(DOCS, name), await make());
