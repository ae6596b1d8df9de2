import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CompressorPool, type CompressorShare } from "./compressor-pool.ts";

function takeAll(shares: readonly CompressorShare[]): number[] {
  const had = shares.map(() => 0);
  for (let isTaken = true; isTaken; ) {
    isTaken = false;
    for (const [index, share] of shares.entries()) {
      if (!share.take()) continue;
      had[index] = (had[index] ?? 0) + 1;
      isTaken = true;
    }
  }
  return had;
}

describe("the compressors of a process", () => {
  test("are half of them one sidecar's that is alone", () => {
    assert.deepEqual(takeAll([new CompressorPool(256).share()]), [128]);
  });

  test("are divided evenly between pods that want all they can get, with a part left for the next", () => {
    const pool = new CompressorPool(256);
    assert.deepEqual(takeAll([pool.share(), pool.share(), pool.share()]), [64, 64, 64]);
    assert.deepEqual(takeAll([pool.share()]), [32]);
  });

  test("go to the others when one gives its own back", () => {
    const pool = new CompressorPool(8);
    const [one, other] = [pool.share(), pool.share()];
    assert.deepEqual(takeAll([one]), [4]);
    assert.deepEqual(takeAll([other]), [2]);
    for (let i = 0; i < 4; i++) one.giveBack();
    assert.deepEqual(takeAll([other]), [2]);
  });
});
