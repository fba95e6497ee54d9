/** `xdevd plugin new`: a plugin to start from, which works as it is. */
import { isKind } from "../device/id.ts";
import { systemFiles } from "../platform/files.ts";
import { printTo } from "../platform/self.ts";
import moduleText from "../../plugins/templates/my_backend.ts" with { type: "text" };
import processText from "../../plugins/templates/my_backend.py" with { type: "text" };
import { checkManifest, ManifestError } from "../../plugins/manifest.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";

/** Writes it. @throws CommandError when a name is none, or the file exists */
export async function newPlugin(
  name: string,
  options: { carrier: "module" | "process"; kind?: string; dir: string },
): Promise<number> {
  const { carrier, dir } = options;
  const kind = options.kind ?? name;
  try {
    checkManifest({ name, version: "0.1.0", api: 1, kinds: ["x"] });
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new CommandError(error.message.replace("its manifest has ", ""), ExitCode.Usage);
  }
  if (!isKind(kind)) {
    const hint = options.kind === undefined ? " (--kind KIND names another one)" : "";
    throw new CommandError(
      `kind ${
        JSON.stringify(kind)
      }; expected at most 15 lower case letters, digits, - and _${hint}`,
      ExitCode.Usage,
    );
  }
  const file = `${dir}/${name}${carrier === "module" ? ".ts" : ""}`;
  if (await systemFiles.lstat(file).then(() => true, () => false)) {
    throw new CommandError(`${file} exists already`);
  }
  const template = String(carrier === "module" ? moduleText : processText);
  const text = template.replaceAll("my-backend", name).replaceAll("my-kind", kind);
  try {
    await systemFiles.writeText(file, text, carrier === "module" ? 0o644 : 0o755);
  } catch (error) {
    throw new CommandError(`cannot write ${file}: ${(error as Error).message}`);
  }
  printTo(1, `${file}: a plugin for kind ${kind}\nnext: xdevd plugin check ${file}\n`);
  return ExitCode.Success;
}
