/** Specifications of PV Calls, sockets in another domain (docs/man/xl.cfg.5). Pure. */
import { type FieldValues, formatFields, readFields, textField } from "../fields.ts";

/** Keys. */
export const PVCALLS_FIELDS = {
  backend: textField("the backend domain, by name or domid"),
} as const;

/** A connection for PV Calls. */
export type PvcallsSpec = FieldValues<typeof PVCALLS_FIELDS>;

/** @throws SpecError */
export function parsePvcalls(texts: readonly string[]): PvcallsSpec {
  return readFields("pvcalls", PVCALLS_FIELDS, texts).values;
}

/** A specification from which the parser makes the same again. */
export const formatPvcalls = (spec: PvcallsSpec): string => formatFields(spec);
