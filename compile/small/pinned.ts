/**
 * The engine and the C library of the small binary, as Debian has them. A new version is one change
 * here: version and hashes (`sha256sum build/small/fetched/*`), then `npm run test:more`.
 */

/** What apt fetches. */
export interface Pinned {
  /** Debian's name of the package. */
  readonly name: string;
  readonly version: string;
  /** Debian's name of the machine that it is for; null: a source. */
  readonly architecture: "amd64" | "arm64" | null;
  /** The one file of it that is used, as apt calls it. */
  readonly file: string;
  /** Of that file, hexadecimal. */
  readonly sha256: string;
}

/** Debian's release that has them. */
export const SUITE = "trixie";

/** The engine. What Debian changes in it are makefiles, which are not used. */
export const QUICKJS: Pinned = {
  name: "quickjs",
  version: "2025.04.26-1",
  architecture: null,
  file: "quickjs_2025.04.26.orig.tar.xz",
  sha256: "ec81da5b3249ed648dbc7df4a1654988910e66a118d9b71cb63534216efcfbbe",
};

/** The engine's own name of its version. */
export const ENGINE_VERSION = "2025-04-26";

/** The C library: headers and static library, for each kind of machine. */
export const MUSL = {
  amd64: musl("amd64", "a3f7d47e452129bb65aae201d6c115abf4d5d3efb136b38b7c6b4fa03ec065e9"),
  arm64: musl("arm64", "384ea029e3694baac696d3993d93246f9a4b3741c493697e1ceb7256d8820748"),
} as const;

function musl(architecture: "amd64" | "arm64", sha256: string): Pinned {
  const version = "1.2.5-3.1~deb13u1";
  const file = `musl-dev_${version}_${architecture}.deb`;
  return { name: "musl-dev", version, architecture, file, sha256 };
}
