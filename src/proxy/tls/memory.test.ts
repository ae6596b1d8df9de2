import assert from "node:assert/strict";
import { before, test } from "node:test";
import { allocatedBytes } from "../testing/allocated-bytes.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";
import { type Contexts, contextOf, Pair, read, sealed } from "../testing/tls-pair.ts";

let contexts: Contexts;
before(async () => {
  const ca = await createMeshCa();
  contexts = {
    server: contextOf(await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart")),
    client: contextOf(await ca.secrets("spiffe://cluster.local/ns/shop/sa/web")),
  };
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
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 4; i++) round();
  const grownBytes = process.memoryUsage().rss - before;
  assert.ok(grownBytes < 4_000_000, `grew by ${grownBytes} bytes in 160 pairs`);
});

test("connections keep none of the keys that only their handshakes needed", () => {
  const opened = (count: number) =>
    Array.from({ length: count }, () => {
      const pair = new Pair(contexts);
      pair.shake();
      assert.equal(read(pair.server, sealed(pair.client, "hello")), "hello");
      return pair;
    });
  for (const pair of opened(20)) pair.close(); // what the first ones load is not theirs
  const before = allocatedBytes();
  const pairs = opened(50);
  const eachBytes = (allocatedBytes() - before) / pairs.length;
  for (const pair of pairs) pair.close();
  // Of which OpenSSL's own floor is some 50 kB; two keys of ML-KEM were 30 more.
  assert.ok(eachBytes < 65_000, `${eachBytes} bytes a pair`);
});
