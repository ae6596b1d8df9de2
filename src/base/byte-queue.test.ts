import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ByteQueue } from "./byte-queue.ts";
import { seededRandom } from "./random.ts";

describe("a queue of bytes", () => {
  test("gives what was put in, in order, whatever the pieces", () => {
    const random = seededRandom(7);
    const queue = new ByteQueue();
    let put = 0;
    let taken = 0;
    for (let round = 0; round < 3_000; round++) {
      const piece = Uint8Array.from({ length: Math.floor(random() ** 8 * 40_000) }, () => put++);
      queue.push(piece, 0, piece.length);
      const whole = queue.bytes();
      assert.equal(whole.length, queue.length);
      assert.equal(whole.at(0) ?? taken % 256, taken % 256);
      assert.equal(whole.at(-1) ?? (put - 1) & 255, (put - 1) & 255);
      const first = queue.first(Math.floor(random() * 20_000));
      for (const byte of first) assert.equal(byte, taken++ % 256);
      queue.drop(first.length);
    }
    while (queue.length > 0) {
      const first = queue.first(1_000);
      for (const byte of first) assert.equal(byte, taken++ % 256);
      queue.drop(first.length);
    }
    assert.equal(taken, put);
  });

  test("keeps a piece of a caller's memory for nobody", () => {
    const queue = new ByteQueue();
    const piece = Uint8Array.of(1, 2, 3);
    queue.push(piece, 1, 3);
    piece.fill(9);
    assert.deepEqual([...queue.bytes()], [2, 3]);
  });

  test("and its copy go separate ways", () => {
    const queue = new ByteQueue();
    for (const byte of [1, 2, 3]) queue.push(Uint8Array.of(byte), 0, 1);
    const copy = queue.copy();
    queue.push(Uint8Array.of(4), 0, 1);
    copy.push(Uint8Array.of(5), 0, 1);
    copy.drop(1);
    assert.deepEqual([...queue.bytes()], [1, 2, 3, 4]);
    assert.deepEqual([...copy.bytes()], [2, 3, 5]);
  });

  test("gives nothing where nothing waits", () => {
    const queue = new ByteQueue();
    queue.push(Uint8Array.of(1), 0, 1);
    queue.clear();
    assert.deepEqual([queue.length, queue.first(5).length, queue.bytes().length], [0, 0, 0]);
  });
});
