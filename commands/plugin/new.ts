/** `xdevd plugin new`: a plugin to start from, which works as it is. */
import { own } from "../../contract/v1/own.ts";
import { isKind } from "../../core/xen/device_id.ts";
import { statusIfThere } from "../../platform/io/file_calls.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { systemModules } from "../../platform/modules.ts";
import { printTo } from "../../platform/self.ts";
import diskScript from "../../plugins/templates/disk.js" with { type: "text" };
import diskModule from "../../plugins/templates/disk.ts" with { type: "text" };
import diskProgram from "../../plugins/templates/disk.py" with { type: "text" };
import interfaceScript from "../../plugins/templates/interface.js" with { type: "text" };
import interfaceModule from "../../plugins/templates/interface.ts" with { type: "text" };
import interfaceProgram from "../../plugins/templates/interface.py" with { type: "text" };
import otherScript from "../../plugins/templates/other.js" with { type: "text" };
import otherModule from "../../plugins/templates/other.ts" with { type: "text" };
import otherProgram from "../../plugins/templates/other.py" with { type: "text" };
import protocol from "../../plugins/templates/protocol.py" with { type: "text" };
import type { PluginManifest } from "../../contract/v1/plugin.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import {
  checkManifest,
  frontendKindOf,
  ManifestError,
  manifestInText,
  manifestLine,
} from "../../core/daemon/plugin/manifest.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";

type Carrier = "module" | "process";

/** A text for each carrier; `my-backend` and `my-kind` stand for the names. */
interface Template {
  readonly TypeScript: string;
  readonly JavaScript: string;
  readonly program: string;
}

const DISK: Template = {
  TypeScript: String(diskModule),
  JavaScript: String(diskScript),
  program: String(diskProgram),
};
const INTERFACE: Template = {
  TypeScript: String(interfaceModule),
  JavaScript: String(interfaceScript),
  program: String(interfaceProgram),
};
const OTHER: Template = {
  TypeScript: String(otherModule),
  JavaScript: String(otherScript),
  program: String(otherProgram),
};

const EXTENSIONS = { TypeScript: ".ts", JavaScript: ".js" } as const;

/** What the kernel does the work of; all others make a file. */
const TEMPLATES: Readonly<Record<string, Template>> = { vbd: DISK, vbd3: DISK, vif: INTERFACE };

/** Writes it. @throws CodedError when a name is none, or the file exists */
export async function newPlugin(
  name: string,
  options: { carrier: Carrier; kind?: string; dir: string },
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const { carrier, dir } = options;
  const kind = options.kind ?? name;
  checkNames(name, kind, options.kind === undefined);
  const file = `${dir}/${name}${carrier === "module" ? EXTENSIONS[systemModules.language] : ""}`;
  if (statusIfThere(file) !== undefined) {
    throw new CodedError("failed", `${file} exists already`);
  }
  const rival = builtIns.find(({ manifest }) => manifest.kinds.includes(kind))?.manifest;
  const text = pluginText(name, kind, carrier, rival);
  try {
    await systemFiles.writeText(file, text, carrier === "module" ? 0o644 : 0o755);
  } catch (error) {
    throw new CodedError("failed", `cannot write ${file}: ${(error as Error).message}`);
  }
  const asRoot = manifestInText(text)?.sample?.needsRoot ? ", as root" : "";
  const choice = rival === undefined ? "" : ` --kind ${kind}=${name}`;
  printTo(
    1,
    `${file}: a plugin for kind ${kind}\n` +
      `next${asRoot}: xdevd plugin check ${file}\n` +
      `to serve devices with it: xdevd devd -F --plugin ${file}${choice}\n`,
  );
  return ExitCode.Success;
}

/** @throws CodedError */
function checkNames(name: string, kind: string, kindIsName: boolean): void {
  try {
    checkManifest({ name, version: "0.1.0", api: 1, kinds: ["x"] });
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new CodedError("usage", error.message.replace("its manifest has ", ""));
  }
  if (isKind(kind)) return;
  const hint = kindIsName ? " (--kind KIND names another one)" : "";
  throw new CodedError(
    "usage",
    `kind ${JSON.stringify(kind)}; expected at most 15 lower case letters, digits, - and _${hint}`,
  );
}

/** @param rival what serves the kind so far, and knows what is special about it */
function pluginText(
  name: string,
  kind: string,
  carrier: Carrier,
  rival: PluginManifest | undefined,
): string {
  const template = own(TEMPLATES, kind) ?? OTHER;
  const [first, rest] = carrier === "module"
    ? [template[systemModules.language], ""]
    : [template.program, String(protocol)];
  // At once: a name may be one of those itself.
  let text = (first + rest).replace(
    /my-(backend|kind)/g,
    (_, which) => which === "kind" ? kind : name,
  );
  const frontendKind = rival === undefined ? kind : frontendKindOf(rival, kind);
  const more: Partial<PluginManifest> = {
    ...(frontendKind === kind ? {} : { frontendKind }),
    ...(rival?.waitsForBackend === false ? { waitsForBackend: false } : {}),
  };
  if (rival === undefined) text = text.replace(` --kind ${kind}=${name}`, "");
  if (Object.keys(more).length === 0) return text;
  const manifest = { ...manifestInText(text)!, ...more };
  const line = manifestLine(manifest, carrier === "module" ? "//" : "#");
  const fields = Object.entries(more).map(([field, value]) =>
    `\n  ${field}: ${JSON.stringify(value)},`
  );
  return text.replace(/^(\/\/|#) xdevd-plugin: .*$/m, () => line)
    .replace(/\n {2}kinds: .*,/, (found) => `${found}${fields.join("")}`);
}
