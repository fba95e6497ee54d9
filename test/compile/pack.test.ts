/** What is packed is unpacked the same, by the C function that the small binary has; what is damaged touches nothing else. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { pack } from "../../compile/small/pack.ts";
import { run } from "../../compile/check/foreign.ts";

const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-pack-"));
const program = join(directory, "unpack");

beforeAll(() => {
  fs.writeFileSync(
    `${program}.c`,
    `#include <stdio.h>
#include <stdlib.h>
#include "unpack.h"
/* Rounds of a length, a size, and as many bytes: the result's sign, and what was unpacked. */
int main(void) {
  uint32_t head[2];
  while (fread(head, sizeof head, 1, stdin) == 1) {
    uint8_t *from = malloc(head[0] + 1), *to = malloc(head[1] + 1);
    if (head[0] > 0 && fread(from, head[0], 1, stdin) != 1) return 1;
    uint8_t *whole = malloc(head[0] + 1);
    memcpy(whole, from, head[0]);
    /* Exactly as long as they are said to be: the sanitizer sees a byte too far. */
    uint8_t *exact = realloc(whole, head[0] > 0 ? head[0] : 1), *out = realloc(to, head[1] > 0 ? head[1] : 1);
    int32_t result = unpack(exact, exact + head[0], out, head[1]);
    fwrite(&result, sizeof result, 1, stdout);
    if (result == 0 && head[1] > 0) fwrite(out, head[1], 1, stdout);
    free(from), free(exact), free(out);
  }
  return 0;
}
`,
  );
  run([
    ...["gcc", "-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    ...["-I", "platform/quickjs", `${program}.c`, "-o", program],
  ]);
});

afterAll(() => fs.rmSync(directory, { recursive: true }));

interface Round {
  readonly packed: Uint8Array;
  readonly size: number;
}

/** What comes of each; null: it is refused. */
function unpack(rounds: readonly Round[]): (Uint8Array | null)[] {
  const input = Buffer.concat(rounds.flatMap(({ packed, size }) => {
    return [Buffer.from(Uint32Array.of(packed.length, size).buffer), packed];
  }));
  const { stdout, stderr, exitCode } = Bun.spawnSync([program], { stdin: input });
  expect(stderr.toString()).toBe("");
  expect(exitCode).toBe(0);
  let at = 0;
  return rounds.map(({ size }) => {
    const result = new DataView(stdout.buffer, stdout.byteOffset).getInt32(at, true);
    at += 4;
    if (result !== 0) return null;
    at += size;
    return new Uint8Array(stdout.subarray(at - size, at));
  });
}

/** Bytes with much that repeats: short pieces, and pieces of those. */
const bytes = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 5 }), fc.nat(700)).map(([piece, times]) =>
      Uint8Array.from({ length: piece.length * times }, (_, at) => piece[at % piece.length]!)
    ),
  ),
  { maxLength: 12 },
).map((pieces) => new Uint8Array(Buffer.concat([...pieces, ...pieces.toReversed()])));

test("whatever is packed comes back", () => {
  const all = fc.sample(bytes, { numRuns: 400, seed: 1 });
  const long = new Uint8Array(fs.readFileSync("package-lock.json"));
  const given = [...all, long, new Uint8Array(0), long.subarray(0, 12), long.subarray(0, 13)];
  const got = unpack(given.map((one) => ({ packed: pack(one), size: one.length })));
  expect(got).toEqual(given);
  expect(pack(long).length).toBeLessThan(long.length * 0.7);
});

test("what is damaged, or of another size, is refused, or comes to as many bytes", () => {
  const rounds = fc.sample(
    fc.tuple(bytes, fc.nat(), fc.nat(255), fc.integer({ min: -3, max: 3 })),
    { numRuns: 1000, seed: 2 },
  ).map(([one, at, byte, more]) => {
    const packed = pack(one);
    packed[at % packed.length] = byte;
    return { packed, size: Math.max(0, one.length + more) };
  });
  const refused = unpack(rounds).filter((one) => one === null).length;
  expect(refused).toBeGreaterThan(rounds.length / 2);
});
