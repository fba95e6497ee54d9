/** What was installed: the record that uninstalling goes by. Pure. */

/** One thing that was laid down; paths as seen from the root. */
export type Laid =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | {
    readonly kind: "file";
    readonly path: string;
    /** Of what was laid down. */
    readonly sha256: string;
    readonly config: boolean;
  };

/** The record. */
export interface Manifest {
  /** Of the program that wrote it. */
  readonly version: string;
  /** In the order in which they were made. */
  readonly laid: readonly Laid[];
}

/** Where it is kept. */
export const MANIFEST_PATH = "/usr/lib/xdevd/installed.json";

/** As a text. */
export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 1)}\n`;
}

/** @throws Error when the text is no such record */
export function parseManifest(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${MANIFEST_PATH} is damaged: it is no JSON`);
  }
  const { version, laid } = (value ?? {}) as { version?: unknown; laid?: unknown };
  if (typeof version !== "string" || !Array.isArray(laid) || !laid.every(isLaid)) {
    throw new Error(`${MANIFEST_PATH} is damaged: it is no record of an installation`);
  }
  return { version, laid };
}

function isLaid(value: unknown): value is Laid {
  const entry = (value ?? {}) as Record<string, unknown>;
  const path = entry["path"];
  if (typeof path !== "string" || !path.startsWith("/") || path.split("/").includes("..")) {
    return false;
  }
  switch (entry["kind"]) {
    case "directory":
      return true;
    case "link":
      return typeof entry["target"] === "string";
    case "file":
      return typeof entry["sha256"] === "string" && typeof entry["config"] === "boolean";
    default:
      return false;
  }
}
