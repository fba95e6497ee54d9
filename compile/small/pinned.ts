/**
 * The engine and the C library of the small binary, as Debian has them. A new version is one change
 * here: version and hashes (`sha256sum build/small/fetched/*`), then `npm run test:more`.
 */

/** What apt fetches. */
export interface Pinned {
  /** Debian's name of the package. */
  readonly name: string;
  readonly version: string;
  readonly kind: "source" | "binary";
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
  kind: "source",
  file: "quickjs_2025.04.26.orig.tar.xz",
  sha256: "ec81da5b3249ed648dbc7df4a1654988910e66a118d9b71cb63534216efcfbbe",
};

/** The engine's own name of its version. */
export const ENGINE_VERSION = "2025-04-26";

/** The C library: headers and static library. */
export const MUSL: Pinned = {
  name: "musl-dev",
  version: "1.2.5-3.1~deb13u1",
  kind: "binary",
  file: "musl-dev_1.2.5-3.1~deb13u1_amd64.deb",
  sha256: "a3f7d47e452129bb65aae201d6c115abf4d5d3efb136b38b7c6b4fa03ec065e9",
};
