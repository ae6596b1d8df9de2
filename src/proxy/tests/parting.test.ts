/** Clients of HTTP/1.1 that end their side, or leave, while they are answered. */

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";
import { isHungUp } from "../../kernel/tcp-state.ts";
import { HttpDownstream } from "../codec/downstream.ts";
import { Harness } from "../testing/harness.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";
import { identity, server } from "../testing/mutual-tls.ts";

const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

test("a client that leaves takes its request along, whoever does not answer it", async () => {
  await using harness = new Harness();
  const gone = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const app = await harness.tcpApp((socket) => {
    socket.on("data", () => asked.resolve());
    socket.on("end", () => gone.resolve());
    socket.on("close", () => gone.resolve());
  });
  const flags: string[] = [];
  const { port, sidecar } = await harness.toPorts([app], {
    accessLog: (line) => flags.push(JSON.parse(line).response_flags),
  });
  const client = await harness.raw(port);
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await asked.promise;
  client.socket.destroy();
  await gone.promise;
  assert.deepEqual(flags, ["DC"]);
  assert.equal(sidecar.tables.clusters.get("app")?.load.activeRequests, 0);
});

/** A sidecar before `app`; `late` is what the application has called before it says something: so much time has passed. */
async function lately(
  harness: Harness,
  app: (late: (ms: number) => void, res: ServerResponse) => void,
) {
  let now = 0;
  const late = (ms: number) => {
    sidecar.runtime.connections.sweep(now);
    now += ms;
    sidecar.runtime.connections.sweep(now);
  };
  const { port, sidecar } = await harness.toPorts([await harness.app((_, res) => app(late, res))], {
    isHungUp,
    now: () => now,
  });
  return harness.raw(port);
}

test("a client that ends its side with its request gets its answer", async () => {
  await using harness = new Harness();
  const client = await lately(harness, (late, res) => {
    late(900);
    res.end("late");
  });
  client.socket.end("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.match(await client.untilEnd(), /^HTTP\/1.1 200 [\s\S]*late/);
});

test("a client inside TLS that ends its side behind three requests gets the answers of all", async () => {
  await using harness = new Harness();
  const ca = await createMeshCa();
  const app = await harness.app((_, res) => setTimeout(() => res.end("late"), 100));
  const port = await server(harness, ca, app);
  const [{ key, chain: cert }, { roots: trusted }] = await ca.secrets(identity("web"));
  const socket = connect({
    port,
    key,
    cert,
    ca: trusted,
    checkServerIdentity: () => undefined,
  });
  socket.end(get + get + get);
  let text = "";
  for await (const bytes of socket) text += bytes;
  assert.match(text, /(late[\s\S]*){3}/);
});

test("a client that ends its side behind three requests gets the answers of all", async () => {
  await using harness = new Harness();
  const client = await lately(harness, (late, res) => {
    late(700);
    res.end("late");
  });
  client.send(get + get + get).socket.end();
  assert.match(await client.untilEnd(), /(late[\s\S]*){3}/);
});

for (const [name, behind] of [
  ["in the middle of an answer without another word", ""],
  ["in the middle of an answer, with a request begun behind it,", "GET"],
] as const) {
  test(`a client that leaves ${name} does not keep it for ever`, async () => {
    await using harness = new Harness();
    const { promise: left, resolve } = Promise.withResolvers<void>();
    const app = await harness.app((_, res) => {
      res.on("close", resolve);
      res.write("data: 1\n\n"); // and no other event
    });
    const flags: string[] = [];
    const { port } = await harness.toPorts([app], {
      isHungUp,
      accessLog: (line) => flags.push(JSON.parse(line).response_flags),
    });
    const client = await harness.raw(port);
    client.send(get + behind);
    await client.until((text) => text.includes("data: 1"));
    client.socket.destroy(); // nothing is on its way to it, so a FIN is all that the sidecar hears
    await left;
    assert.deepEqual(flags, ["DC"]);
  });
}

test("a client that leaves in the middle of an upload that its endpoint does not read is not kept for ever", async () => {
  await using harness = new Harness();
  const app = await harness.tcpApp((socket) => socket.pause());
  const { promise: flags, resolve } = Promise.withResolvers<string>();
  const { port, sidecar } = await harness.toPorts([app], {
    isHungUp,
    accessLog: (line) => resolve(JSON.parse(line).response_flags),
  });
  const client = await harness.raw(port);
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n");
  const part = Buffer.alloc(2 ** 16);
  const isHeldBack = () =>
    [...sidecar.runtime.connections.all].some(
      (one) => one instanceof HttpDownstream && one.transport.isPaused,
    );
  // Until the kernel has taken all that it takes on both ways: then the sidecar stays as it is.
  for (let still = 0; still < 100; still = isHeldBack() ? still + 1 : 0) {
    if (client.socket.writableLength < part.length) client.socket.write(part);
    await delay(1);
  }
  client.socket.resetAndDestroy();
  assert.equal(await flags, "DC");
  assert.equal(sidecar.tables.clusters.get("app")?.load.activeRequests, 0);
});

test("a client that ends its side is answered for as long as the answer goes on", async () => {
  await using harness = new Harness();
  const client = await lately(harness, async (late, res) => {
    for (let said = 1; said <= 7; said++) {
      late(900);
      res.write("x");
      while (client.text.split("x\r\n").length <= said) await new Promise(setImmediate);
    }
    res.end();
  });
  client.send(get).socket.end();
  assert.match(await client.untilEnd(), /(1\r\nx\r\n){7}0\r\n/);
});
