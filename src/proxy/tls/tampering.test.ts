import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import { type Contexts, cartAndWeb, mutual, Pair, read, sealed } from "../testing/tls-pair.ts";
import { TlsConnection } from "./connection.ts";

let contexts: Contexts;
before(async () => {
  contexts = await cartAndWeb();
});

describe("bytes that were tampered with", () => {
  test("break their own connection and no other one", () => {
    const random = seededRandom(26);
    const neighbour = new Pair(contexts);
    neighbour.shake();
    for (let i = 0; i < 150; i++) {
      const pair = new Pair(contexts, { alpn: [] });
      pair.shake();
      const wire = sealed(pair.client, randomBytes(1 + Math.floor(random() * 3_000)));
      const at = Math.floor(random() * wire.length);
      wire[at] = (wire[at] ?? 0) ^ (1 << Math.floor(random() * 8));
      const text = read(pair.server, wire);
      assert.equal(text, "");
      // A longer length waits for what never comes; everything else is found out at once.
      if (at !== 3 && at !== 4) assert.ok(pair.server.error, `byte ${at} of ${wire.length}`);
      assert.equal(read(neighbour.server, sealed(neighbour.client, `${i}`)), `${i}`);
      pair.close();
    }
    neighbour.close();
  });

  test("and bytes that are no TLS at all end a handshake with an alert", () => {
    const random = seededRandom(7);
    for (let i = 0; i < 150; i++) {
      const server = TlsConnection.accept(contexts.server, mutual);
      const noise = randomBytes(1 + Math.floor(random() * 600));
      if (i % 2 === 0) Buffer.from([22, 3, 1]).copy(noise);
      const step = server.handshake(noise, noise.length);
      if (step.kind === "broken") assert.equal(step.error.code, "proxy.tls.broken");
      else assert.equal(step.kind, "going-on");
      server.close();
    }
  });

  test("of a ClientHello never make a session", () => {
    const random = seededRandom(11);
    for (let i = 0; i < 150; i++) {
      const pair = new Pair(contexts);
      const hello = pair.client.handshake().output;
      hello[Math.floor(random() * hello.length)] = Math.floor(random() * 256);
      const step = pair.server.handshake(hello, hello.length);
      assert.notEqual(step.kind, "done");
      pair.close();
    }
  });
});
