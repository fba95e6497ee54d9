/** `xdevd plugin bundle`: one file of a module and all it imports, with its manifest in front. */
import * as contract from "../../contract/v2/plugin.ts";
import {
  checkContract,
  checkManifest,
  manifestInText,
  manifestLine,
} from "../../core/daemon/plugin/manifest.ts";
import { checkOperations } from "../../core/daemon/plugin/guard.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { bundleModule, provideModule, systemModules } from "../../platform/modules.ts";
import { placeText } from "../../platform/io/place_files.ts";
import { printTo } from "../../platform/self.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";

/** What plugins import of xdevd, for a file that has to do without it. */
const SHIM = Object.entries(contract).map(([name, value]) =>
  // Each of its functions and classes stands for itself, and can be told by its text.
  `export const ${name} = ${typeof value === "function" ? value : JSON.stringify(value)};\n`
).join("");

/**
 * Writes it. The module is run for its manifest: by its author, on the author's machine.
 * @throws CodedError
 */
export async function bundlePlugin(file: string, output: string): Promise<number> {
  const { text, what } = await bundled(file).catch((error: Error) => {
    throw new CodedError("failed", `cannot bundle ${file}: ${error.message.split("\n")[0]}`);
  });
  try {
    placeText(output, text, 0o644);
  } catch (error) {
    throw new CodedError("failed", `cannot write ${output}: ${(error as Error).message}`);
  }
  printTo(1, `${output}: ${what}, ${(text.length / 1024).toFixed(1)} KiB\n`);
  return ExitCode.Success;
}

/** @throws Error */
async function bundled(file: string): Promise<{ text: string; what: string }> {
  // First: of a file that is not there, a loader says that it is no module of its own.
  const source = await systemFiles.readText(file);
  provideModule("xdevd/plugin", { ...contract });
  const { default: plugin } = await systemModules.load(file);
  if (typeof plugin !== "object" || plugin === null) {
    throw new Error("it has no default export made by definePlugin");
  }
  // What is only in the first line (the sample, say) is kept.
  const manifest = checkManifest({ ...manifestInText(source), ...plugin });
  checkContract(manifest.api);
  checkOperations(manifest.name, plugin);
  const head = manifestLine({ ...manifest, carrier: "module" });
  const text = await bundleModule(file, SHIM, head);
  return { text, what: `${manifest.name} ${manifest.version}` };
}
