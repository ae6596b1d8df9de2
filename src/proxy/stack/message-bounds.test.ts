import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MessageBounds } from "./message-bounds.ts";

describe("the bounds of messages", () => {
  const body = Buffer.from([
    0,
    0,
    0,
    0,
    2,
    65,
    66,
    0,
    0,
    0,
    0,
    0,
    1,
    0,
    0,
    1,
    0,
    ...Buffer.alloc(256),
  ]);
  const between = new Set([0, 7, 12, body.length]);

  test("are found wherever the bytes are cut", () => {
    for (let cut = 0; cut <= body.length; cut++) {
      const bounds = new MessageBounds();
      bounds.read(body, 0, cut);
      assert.equal(bounds.isBetween, between.has(cut), `after ${cut} bytes`);
      bounds.read(body, cut, body.length);
      assert.equal(bounds.isBetween, true);
    }
  });

  test("are none behind trailers: nothing may follow", () => {
    const bounds = new MessageBounds();
    bounds.read(Buffer.from([0x80, 0, 0, 0, 1, 65]), 0, 6);
    assert.equal(bounds.isBetween, false);
  });
});
