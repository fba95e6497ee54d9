/** Which plugin files may be used: those that nobody but root could have written or put in place. */
import type { Files } from "../platform/types.ts";
import { canonicalPath, checkReach, octal } from "../core/hotplug/path_rules.ts";

/** A plugin will not be used; the message says which and why, in one line. */
export class PluginRefused extends Error {
  override name = "PluginRefused";
}

/** What trust is judged by. */
export interface TrustParts {
  readonly files: Files;
  /** Owners that are trusted: root, and the user that the daemon runs as. */
  readonly trustedUids: readonly number[];
  sha256Of(file: string): Promise<string>;
}

/**
 * Checks a plugin's file, and everything on the way to it.
 * @param path absolute
 * @param needs whether it has to be executable; the SHA-256 it must have
 * @throws PluginRefused
 */
export async function checkPluginFile(
  { files, trustedUids, sha256Of }: TrustParts,
  path: string,
  needs: { executable?: boolean; sha256?: string } = {},
): Promise<void> {
  const refuse = (why: string): never => {
    throw new PluginRefused(`plugin ${path} ${why}`);
  };
  const real = await canonicalPath(files, path, refuse);
  const status = await checkReach(files, path, real, trustedUids, refuse);
  if (needs.executable && (status.mode & 0o111) === 0) {
    refuse(`is a program and not executable (mode ${octal(status)}): chmod +x makes it so`);
  }
  if (needs.sha256 !== undefined) {
    const sha256 = await sha256Of(path);
    if (sha256 !== needs.sha256) {
      refuse(`has SHA-256 ${sha256}; the configuration demands ${needs.sha256}`);
    }
  }
}
