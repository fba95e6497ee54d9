/** Plugins of tests: programs that speak the protocol, run by the runtime that runs the tests. */
import { chmodSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PluginManifest } from "../../contract/v1/plugin.ts";
import { manifestLine } from "../../core/daemon/plugin/manifest.ts";

const frames = join(dirname(fileURLToPath(import.meta.url)), "../../plugins/process/frames.ts");

/** What the programs below begin with: `send`, `on`, and an introduction. */
const PRELUDE = `
import { encodeFrame, FrameParser } from ${JSON.stringify(frames)};
import { writeSync } from "node:fs";
const write = (bytes) => {
  for (let at = 0; at < bytes.length;) {
    try { at += writeSync(1, bytes, at); } catch (error) {
      if (error.code === "EPIPE") process.exit(0);
      if (error.code !== "EAGAIN") throw error;
    }
  }
};
const send = (message) => write(encodeFrame(message));
const hello = (more = {}) => send({
  type: "hello", contract: 1, name: NAME, operations: ["add", "remove", "check"], ...more,
});
const on = { hello: () => hello(), call() {}, abort() {}, reply() {} };
const parser = new FrameParser();
process.stdin.on("data", (chunk) => {
  for (const message of parser.push(chunk)) on[message.type](message);
});
process.stdin.on("end", () => process.exit(0));
const done = ({ call }) => send({ type: "done", call });
`;

/** A manifest for tests. */
export function testManifest(more: Partial<PluginManifest> = {}): PluginManifest {
  return { name: "test", version: "1", api: 1, kinds: ["test"], ...more };
}

/**
 * Writes a program that is a plugin.
 * @param body handlers, such as `on.call = (call) => done(call);`
 */
export function writeProcessPlugin(
  file: string,
  body: string,
  more: Partial<PluginManifest> = {},
): PluginManifest {
  const manifest = testManifest({ carrier: "process", ...more });
  writeFileSync(
    file,
    `#!${process.execPath}\n${manifestLine(manifest)}\n` +
      `const NAME = ${JSON.stringify(manifest.name)};\n${PRELUDE}${body}\n`,
  );
  chmodSync(file, 0o755);
  return manifest;
}
