/** Specifications of shared file systems, 9pfs (docs/man/xl.cfg.5, xl_parse.c). Pure. */
import {
  type FieldValues,
  formatFields,
  numberField,
  readFields,
  switchField,
  textField,
  wordField,
} from "../fields.ts";

/** libxl keeps these as int. */
const COUNT_MAX = 0x7fffffff;

/** Keys. */
export const P9_FIELDS = {
  tag: textField("what the guest mounts it by"),
  path: textField("the directory, in the backend domain", true),
  security_model: textField("none, passthrough, mapped-xattr …: as the backend has it", true),
  backend: textField("the backend domain, by name or domid"),
  type: wordField("type", ["qemu", "xen_9pfsd"]),
  "max-files": numberField(0, COUNT_MAX, "files; 0 for no limit"),
  "max-open-files": numberField(0, COUNT_MAX, "files; 0 for no limit"),
  "max-space": numberField(0, COUNT_MAX, "MiB; 0 for no limit"),
  "auto-delete": switchField(),
} as const;

/** Limits that only the small daemon knows. */
const DAEMON_ONLY = ["max-files", "max-open-files", "max-space", "auto-delete"] as const;

/** The tag of a file system served by xen-9pfsd if none is said (libxl_9pfs.c). */
const DAEMON_TAG = "Xen";

/** A shared file system. */
export type P9Spec = FieldValues<typeof P9_FIELDS> & {
  tag: string;
  path: string;
  security_model: string;
  type: "qemu" | "xen_9pfsd";
};

/** @throws SpecError */
export function parseP9(texts: readonly string[]): P9Spec {
  const { values, fault } = readFields("p9", P9_FIELDS, texts);
  const type = values.type ?? "qemu";
  const tag = values.tag ?? (type === "qemu" ? undefined : DAEMON_TAG);
  if (tag === undefined) {
    throw fault("missing required field", "tag", "tag=… (required for type qemu)");
  }
  const extra = DAEMON_ONLY.find((key) => values[key]);
  if (type === "qemu" && extra !== undefined) {
    throw fault("Illegal 9pfs parameter combination", extra, `${extra} only with type=xen_9pfsd`);
  }
  return { ...values, type, tag } as P9Spec;
}

/** A specification from which the parser makes the same again. */
export const formatP9 = (spec: P9Spec): string => formatFields(spec);
