/**
 * What this very program was built from. `npm run compile` puts other values in the place of these,
 * which are those of the source tree.
 */

/** Facts of one build. */
export interface BuildInfo {
  /** Hexadecimal name of the git commit, with `-modified` if files differed from it; null: not known. */
  readonly commit: string | null;
  /** What it was compiled for, such as `linux-x64`; null when it runs from source. */
  readonly target: string | null;
}

/** Of this program. */
export const BUILD: BuildInfo = { commit: null, target: null };
