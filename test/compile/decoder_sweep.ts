/** What this runtime's decoder makes of each short sequence of bytes, as one number. */

/** Where a next byte begins to be, or no longer is, one that may follow. */
const NEXT = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe1, 0xf0, 0xff];

/** FNV-1a of all texts and errors, behind their count. */
export function decoderSweep(): string {
  const loose = new TextDecoder("utf-8", { ignoreBOM: true });
  const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
  let [hash, count] = [0x811c9dc5, 0];
  const add = (text: string) => {
    count++;
    for (const unit of `${text}|`.split("")) {
      hash = Math.imul(hash ^ unit.charCodeAt(0), 0x01000193) >>> 0;
    }
  };
  const take = (...bytes: number[]) => {
    const input = new Uint8Array(bytes);
    add(loose.decode(input));
    try {
      add(strict.decode(input));
    } catch (error) {
      add((error as Error).name);
    }
  };
  for (let first = 0; first < 256; first++) {
    take(first);
    for (let second = 0; second < 256; second++) take(first, second);
    for (const second of NEXT) {
      for (const third of NEXT) {
        take(first, second, third);
        if (first >= 0xf0) { for (const last of NEXT) take(first, second, third, last); }
      }
    }
  }
  return `${count} ${hash.toString(16)}`;
}
