import assert from "node:assert/strict";
import { before, test } from "node:test";
import { queryObjects, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { allocatedBytes } from "../testing/allocated-bytes.ts";
import { type Contexts, cartAndWeb, Pair, read, sealed } from "../testing/tls-pair.ts";
import { Ledger } from "./ledger.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

let contexts: Contexts;
before(async () => {
  contexts = await cartAndWeb();
});

test("connections that come and go give their memory back", () => {
  const round = () => {
    for (let i = 0; i < 40; i++) {
      const pair = new Pair(contexts);
      pair.shake();
      pair.close();
    }
  };
  round();
  round();
  collect();
  const before = allocatedBytes();
  for (let i = 0; i < 4; i++) round();
  collect();
  const grownBytes = allocatedBytes() - before;
  // Kept by both ends of each they would be 4 MB at least.
  assert.ok(grownBytes < 1_000_000, `grew by ${grownBytes} bytes in 160 pairs`);
});

test("connections whose handshake is over hold nothing of OpenSSL", () => {
  const opened = (count: number) =>
    Array.from({ length: count }, () => {
      const pair = new Pair(contexts);
      pair.shake();
      assert.equal(read(pair.server, sealed(pair.client, "hello")), "hello");
      assert.equal(read(pair.client, sealed(pair.server, "world")), "world");
      return pair;
    });
  for (const pair of opened(20)) pair.close(); // what the first ones load is not theirs
  collect();
  const before = allocatedBytes();
  const pairs = opened(50);
  collect();
  const eachBytes = (allocatedBytes() - before) / pairs.length;
  for (const pair of pairs) pair.close();
  // Two of OpenSSL's connections hold 54 kB; keys and certificates of ours some 3.
  assert.ok(eachBytes < 6_000, `${eachBytes} bytes a pair`);
});

test("connections whose handshake is over keep no first secrets, which all later ones follow from", () => {
  collect();
  const before = queryObjects(Ledger, { format: "count" });
  const pair = new Pair(contexts);
  pair.shake();
  assert.equal(read(pair.client, sealed(pair.server, "hello")), "hello");
  assert.equal(queryObjects(Ledger, { format: "count" }), before);
  pair.close();
});

test("connections whose first data has come keep nothing of who waited for their session", () => {
  class Waiting {
    readonly sessions: Buffer[] = [];
  }
  const opened = () => {
    const waiting = new Waiting();
    const onSession = (session: Buffer) => waiting.sessions.push(session);
    const pair = new Pair(contexts, { onSession });
    pair.shake();
    assert.equal(read(pair.client, sealed(pair.server, "hello")), "hello");
    assert.equal(waiting.sessions.length, 1);
    return pair;
  };
  const pair = opened();
  assert.equal(queryObjects(Waiting, { format: "count" }), 0);
  pair.close();
});

test("connections keep none of the memory that Node shares out among small buffers", async () => {
  const opened = (count: number) =>
    Array.from({ length: count }, () => {
      const pair = new Pair(contexts);
      pair.shake();
      for (let bytes = 0; bytes < 2 * Buffer.poolSize; bytes += 4_000) Buffer.allocUnsafe(4_000);
      return pair;
    });
  for (const pair of opened(5)) pair.close();
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const pairs = opened(50);
  let eachBytes = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 20 && eachBytes >= 10_000; i++) {
    collect(); // what is collected is given back later, by another thread
    await new Promise(setImmediate);
    eachBytes = (process.memoryUsage().arrayBuffers - before) / pairs.length;
  }
  for (const pair of pairs) pair.close();
  assert.ok(eachBytes < 10_000, `${eachBytes} bytes a pair`);
});
