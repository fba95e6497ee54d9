/** Prints how long it takes to get a plugin ready, in ms; in a process of its own each time. */
import { pluginAt } from "../../plugins/discover.ts";
import { NO_SETTINGS } from "../../plugins/settings.ts";
import { makeHost, trustParts } from "../../commands/plugin/set.ts";

const file = process.argv[2]!;
const settings = { owner: `bench-${process.pid}`, path: "/usr/bin:/bin", answerMs: 1_000 };
const found = await pluginAt(file, NO_SETTINGS, trustParts());
const host = makeHost(found, settings);
const start = performance.now();
await host.probe();
console.log(performance.now() - start);
await host.close();
process.exit(0);
