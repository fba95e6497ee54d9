/** Specifications of virtio devices with a standalone backend (docs/man/xl.cfg.5). Pure. */
import {
  type FieldValues,
  formatFields,
  readFields,
  switchField,
  textField,
  wordField,
} from "../fields.ts";
import type { SpecItem } from "../items.ts";
import { placeIn, SpecError } from "../spec_error.ts";

/** Keys. */
export const VIRTIO_FIELDS = {
  backend: textField("the backend domain, by name or domid"),
  type: textField("virtio,deviceNN as in a device tree, or another text"),
  transport: wordField("transport", ["mmio"]),
  grant_usage: switchField(),
} as const;

/** A virtio device. */
export type VirtioSpec = FieldValues<typeof VIRTIO_FIELDS>;

/** @throws SpecError */
export function parseVirtio(texts: readonly string[]): VirtioSpec {
  return readFields("virtio", VIRTIO_FIELDS, texts, joinTypes).values;
}

/** A specification from which the parser makes the same again. */
export const formatVirtio = (spec: VirtioSpec): string => formatFields(spec);

/** A type that begins with `virtio` has a comma, and so goes on in the next item. */
function joinTypes(items: SpecItem[]): SpecItem[] {
  const joined: SpecItem[] = [];
  for (let index = 0; index < items.length; index++) {
    const item = items[index]!;
    if (!item.text.startsWith("type=virtio")) {
      joined.push(item);
      continue;
    }
    const next = items[++index];
    const { text, argument, offset } = item.place;
    if (next === undefined || next.place.argument !== argument) {
      throw new SpecError("virtio", "unknown value for type", item.place, "type=virtio,deviceNN");
    }
    const place = placeIn(text, argument, offset, next.place.offset + next.place.length - offset);
    joined.push({ text: `${item.text},${next.text}`, place });
  }
  return joined;
}
