/** Writes the documents that are made from the code (`npm run docs`). */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderLifecycle } from "../commands/lifecycle/lifecycle.ts";
import { lifecycleDocument } from "../core/lifecycle/documentation.ts";
import { requestDocument } from "../core/requests/protocol/documentation.ts";
import { protocolDocument } from "../plugins/process/documentation.ts";

const docs = join(import.meta.dir, "..", "docs");
writeFileSync(join(docs, "lifecycle.md"), lifecycleDocument());
writeFileSync(join(docs, "lifecycle.svg"), await renderLifecycle("svg"));
writeFileSync(join(docs, "request-protocol.md"), requestDocument());
const protocol = join(docs, "plugin-protocol.md");
writeFileSync(protocol, protocolDocument(readFileSync(protocol, "utf8")));
