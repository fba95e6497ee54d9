/** Specifications of virtual TPMs (docs/man/xl.cfg.5, xl_parse.c). Pure. */
import {
  type Field,
  FieldFault,
  type FieldValues,
  formatFields,
  readFields,
  textField,
} from "../fields.ts";

const UUID_RULE = "a UUID, such as 01234567-89ab-cdef-0123-456789abcdef";

/** A UUID; in lower case afterwards, as it is written into nodes. */
const uuid: Field<string> = {
  rule: UUID_RULE,
  read: (value) =>
    /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(value)
      ? value.toLowerCase()
      : new FieldFault("Failed to parse vtpm UUID", UUID_RULE),
};

/** Keys. */
export const VTPM_FIELDS = {
  backend: textField("the domain of the vTPM, by name or domid", true),
  uuid,
} as const;

/** A virtual TPM; without a UUID, one is made up. */
export type VtpmSpec = FieldValues<typeof VTPM_FIELDS> & { backend: string };

/** @throws SpecError */
export function parseVtpm(texts: readonly string[]): VtpmSpec {
  return readFields("vtpm", VTPM_FIELDS, texts).values as VtpmSpec;
}

/** A specification from which the parser makes the same again. */
export const formatVtpm = (spec: VtpmSpec): string => formatFields(spec);

/**
 * A random UUID (RFC 9562, version 4).
 * @param random 16 random bytes
 */
export function randomUuid(random: Uint8Array): string {
  const bytes = [...random.slice(0, 16)];
  bytes[6] = (bytes[6] ?? 0) & 0x0f | 0x40;
  bytes[8] = (bytes[8] ?? 0) & 0x3f | 0x80;
  const digits = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
