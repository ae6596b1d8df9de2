/**
 * Bolt files made here page by page, since nothing else in the tree writes them; those of the real runtimes are read in
 * test/interop.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { decodeUtf8, encodeUtf8 } from "../../base/utf8.ts";
import { openBolt, type ReadAt } from "./bolt.ts";

const pageBytes = 4096;

describe("a Bolt file", () => {
  test("has buckets in buckets, inline and in pages of their own, and values by key", () => {
    const inline = leafPage([["app", "web"]]);
    const file = fileOf(7n, [
      leafPage([
        ["inline", bucketValue(0, inline)],
        ["tree", bucketValue(4)],
        ["value", "text"],
      ]),
      branchPage([
        ["a", 5],
        ["m", 6],
      ]),
      leafPage([
        ["a", "1"],
        ["b", "2"],
      ]),
      leafPage([
        ["m", "3"],
        ["z", "4"],
      ]),
    ]);
    const { root } = openBolt(readerOf(file));
    assert.deepEqual(root.keys(), ["inline", "tree", "value"]);
    assert.equal(textOf(root.get("value")), "text");
    assert.equal(root.get("tree"), undefined);
    assert.equal(root.bucket("value"), undefined);
    assert.equal(textOf(root.bucket("inline")?.get("app")), "web");
    const tree = root.bucket("tree");
    assert.deepEqual(tree?.keys(), ["a", "b", "m", "z"]);
    for (const [key, value] of [
      ["a", "1"],
      ["b", "2"],
      ["m", "3"],
      ["z", "4"],
      ["c", undefined],
      ["0", undefined],
    ] as const) {
      assert.equal(textOf(tree?.get(key)), value);
    }
  });

  test("says when what was read may have been written again meanwhile", () => {
    const file = fileOf(7n, [leafPage([])]);
    const bolt = openBolt(readerOf(file));
    assert.equal(bolt.isCurrent(), true);
    file.set(metaPage(8n, 3), 0);
    assert.equal(bolt.isCurrent(), true, "a page is not used again by the next transaction");
    file.set(metaPage(9n, 3), pageBytes);
    assert.equal(bolt.isCurrent(), false);
  });

  test("of which one head is spoilt is read by the other", () => {
    for (const spoilt of [0, pageBytes]) {
      const file = fileOf(7n, [leafPage([["a", "1"]])]);
      file[spoilt + 20] = 0xff;
      assert.deepEqual(openBolt(readerOf(file)).root.keys(), ["a"]);
    }
  });

  test("that is damaged is refused with SyntaxError, and ends every walk", () => {
    const whole = fileOf(7n, [
      leafPage([["tree", bucketValue(4)]]),
      branchPage([
        ["a", 5],
        ["m", 4],
      ]),
      leafPage([["a", "1"]]),
    ]);
    const damage = fc.array(
      fc.tuple(fc.integer({ min: 2 * pageBytes, max: whole.length - 1 }), fc.nat(255)),
      {
        maxLength: 20,
      },
    );
    fc.assert(
      fc.property(damage, (bytes) => {
        const file = whole.slice();
        for (const [at, byte] of bytes) file[at] = byte;
        try {
          const { root } = openBolt(readerOf(file));
          root.bucket("tree")?.get("z");
          root.bucket("tree")?.keys();
        } catch (error) {
          assert.ok(error instanceof SyntaxError, String(error));
        }
      }),
    );
  });
});

type Entry = readonly [key: string, value: string | Uint8Array];

function readerOf(file: Uint8Array): ReadAt {
  return (offset, length) => {
    if (offset + length > file.length) throw new SyntaxError("the file ends before");
    return file.subarray(offset, offset + length);
  };
}

/** Two heads, a free list, then these pages from page 3 on; the first is the root's. */
function fileOf(transaction: bigint, pages: readonly Uint8Array[]): Uint8Array {
  const file = new Uint8Array((3 + pages.length) * pageBytes);
  file.set(metaPage(transaction, 3), 0);
  file.set(metaPage(transaction - 1n, 3), pageBytes);
  for (const [i, page] of pages.entries()) file.set(page, (3 + i) * pageBytes);
  return file;
}

function metaPage(transaction: bigint, root: number): Uint8Array {
  const bytes = new Uint8Array(80);
  const view = new DataView(bytes.buffer);
  view.setUint16(8, 4, true);
  view.setUint32(16, 0xed0cdaed, true);
  view.setUint32(20, 2, true);
  view.setUint32(24, pageBytes, true);
  view.setBigUint64(32, BigInt(root), true);
  view.setBigUint64(64, transaction, true);
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes.subarray(16, 72)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  view.setBigUint64(72, hash, true);
  return bytes;
}

function leafPage(entries: readonly Entry[]): Uint8Array {
  const encoded = entries.map(([key, value]) => ({
    key: encodeUtf8(key),
    value: typeof value === "string" ? encodeUtf8(value) : value,
    isBucket: typeof value !== "string",
  }));
  const size = encoded.reduce((sum, { key, value }) => sum + 16 + key.length + value.length, 16);
  const page = new Uint8Array(size);
  const view = header(page, 2, entries.length);
  let at = 16 + entries.length * 16;
  encoded.forEach(({ key, value, isBucket }, i) => {
    const entry = 16 + i * 16;
    view.setUint32(entry, isBucket ? 1 : 0, true);
    view.setUint32(entry + 4, at - entry, true);
    view.setUint32(entry + 8, key.length, true);
    view.setUint32(entry + 12, value.length, true);
    page.set(key, at);
    page.set(value, at + key.length);
    at += key.length + value.length;
  });
  return page;
}

function branchPage(entries: readonly (readonly [key: string, page: number])[]): Uint8Array {
  const page = new Uint8Array(pageBytes);
  const view = header(page, 1, entries.length);
  let at = 16 + entries.length * 16;
  entries.forEach(([text, child], i) => {
    const key = encodeUtf8(text);
    const entry = 16 + i * 16;
    view.setUint32(entry, at - entry, true);
    view.setUint32(entry + 4, key.length, true);
    view.setBigUint64(entry + 8, BigInt(child), true);
    page.set(key, at);
    at += key.length;
  });
  return page;
}

function header(page: Uint8Array, flags: number, count: number): DataView {
  const view = new DataView(page.buffer);
  view.setUint16(8, flags, true);
  view.setUint16(10, count, true);
  return view;
}

function bucketValue(root: number, inline: Uint8Array = new Uint8Array()): Uint8Array {
  const value = new Uint8Array(16 + inline.length);
  new DataView(value.buffer).setBigUint64(0, BigInt(root), true);
  value.set(inline, 16);
  return value;
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : decodeUtf8(bytes);
}
