/** Specifications of keyboards, pointers and touch screens (docs/man/xl.cfg.5, kbdif.h). Pure. */
import {
  type FieldValues,
  formatFields,
  numberField,
  readFields,
  switchField,
  textField,
  wordField,
} from "../fields.ts";

const size = (unit: string) => numberField(0, 0xffffffff, unit);

/** Keys, most of them named as the nodes are. */
export const VKB_FIELDS = {
  backend: textField("the backend domain, by name or domid"),
  "backend-type": wordField("backend-type", ["qemu", "linux"], true),
  "unique-id": textField("what tells this device from others"),
  "feature-disable-keyboard": switchField(),
  "feature-disable-pointer": switchField(),
  "feature-abs-pointer": switchField(),
  "feature-raw-pointer": switchField(),
  "feature-multi-touch": switchField(),
  "multi-touch-width": size("pixels"),
  "multi-touch-height": size("pixels"),
  "multi-touch-num-contacts": size("fingers"),
  width: size("pixels"),
  height: size("pixels"),
} as const;

/** A keyboard or pointer. */
export type VkbSpec = FieldValues<typeof VKB_FIELDS> & { "backend-type": "qemu" | "linux" };

/** Sizes that make a device one for touching, and that such a device needs. */
const TOUCH = ["multi-touch-width", "multi-touch-height", "multi-touch-num-contacts"] as const;

/** @throws SpecError */
export function parseVkb(texts: readonly string[]): VkbSpec {
  const { values, fault } = readFields("vkb", VKB_FIELDS, texts);
  const touch = TOUCH.some((key) => values[key]);
  if (values["feature-multi-touch"] && !touch) {
    const expected = `${TOUCH.join("=… or ")}=… with it`;
    throw fault("missing required field", "feature-multi-touch", expected);
  }
  return { ...values, ...(touch ? { "feature-multi-touch": true } : {}) } as VkbSpec;
}

/** A specification from which the parser makes the same again. */
export const formatVkb = (spec: VkbSpec): string => formatFields(spec);
