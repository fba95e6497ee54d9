/** `xdevd install` and `xdevd uninstall`. */
import { install as layOut, type Outcome, uninstall as takeAway } from "./place_entries.ts";
import { type Initramfs, layout, type Service } from "./layout.ts";
import { manualPages } from "../manual/pages.ts";
import type { CommandData } from "../line/data.ts";
import { needsLoader } from "./needs_loader.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { ownBinary } from "../../platform/io/place_files.ts";
import { printTo } from "../../platform/self.ts";
import { VERSION } from "../../core/version.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";

/** The command's options, as parsed. */
export interface InstallOptions {
  readonly root: string;
  readonly links?: boolean;
  readonly manual?: boolean;
  readonly service: readonly Service[];
  readonly initramfs: readonly Initramfs[];
  readonly binary?: string;
}

/** Runs `xdevd install`; resolves with the exit status. @param program all commands, for the manual */
export async function install(
  options: InstallOptions,
  program: () => CommandData,
): Promise<number> {
  const binary = options.binary ?? ownBinary();
  if (binary === null) {
    throw new CodedError(
      "usage",
      "this runs from source: make a binary (npm run compile) and have that install itself, " +
        "or name it (--binary FILE)",
    );
  }
  const { links = false, service: services, initramfs } = options;
  const manual = options.manual ? { manual: manualPages(program()) } : {};
  const root = await realPath("--root", options.root);
  await realPath("--binary", binary);
  // The small binary is static. The full one is not, and its runtime compiles.
  const entries = layout({ links, services, initramfs, ...manual, compiles: needsLoader(binary) });
  return report("installed", await layOut({ root, entries, binary, version: VERSION }));
}

/** Runs `xdevd uninstall`; resolves with the exit status. */
export async function uninstall(options: { readonly root: string }): Promise<number> {
  return report("removed", await takeAway(await realPath("--root", options.root)));
}

/** @throws CodedError when there is nothing of that name, which an option has named */
async function realPath(option: string, path: string): Promise<string> {
  try {
    return await systemFiles.realPath(path);
  } catch (error) {
    throw new CodedError("usage", `${option} ${path}: ${(error as Error).message}`);
  }
}

function report(what: string, { done, kept }: Outcome): number {
  for (const path of done) printTo(1, `${what} ${path}\n`);
  for (const path of kept) printTo(1, `kept ${path}\n`);
  return ExitCode.Success;
}
