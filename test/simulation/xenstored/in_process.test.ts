/** The pipe in memory that stands for a socket. */
import { expect, test } from "bun:test";
import { streamPair } from "../../../simulation/xenstored/in_process.ts";
import { settle } from "../../support/fake_clock.ts";

const bytes = (...values: number[]) => new Uint8Array(values);

test("what came before anybody listened is delivered, in order, and then what follows", async () => {
  const [a, b] = streamPair();
  a.write(bytes(1));
  a.write(bytes(2, 3));
  const got: number[] = [];
  b.start({ data: (chunk) => got.push(...chunk), closed: () => got.push(-1) });
  a.write(bytes(4));
  await settle();
  expect(got).toEqual([1, 2, 3, 4]);
  a.close();
  a.close();
  await settle();
  // Both ends are told once; what is written now is nobody's.
  b.write(bytes(5));
  a.write(bytes(6));
  await settle();
  expect(got).toEqual([1, 2, 3, 4, -1]);
});

test("what is written is not what is changed later", async () => {
  const [a, b] = streamPair();
  const buffer = bytes(1, 2);
  const got: number[] = [];
  b.start({ data: (chunk) => got.push(...chunk), closed: () => {} });
  a.write(buffer);
  buffer.fill(9);
  await settle();
  expect(got).toEqual([1, 2]);
});
