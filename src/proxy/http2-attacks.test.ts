/** What a client of HTTP/2 that means ill can make a sidecar keep, or keep from others. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { clientPreface } from "../wire/http2/protocol.ts";
import { frame, headers, pseudo } from "../wire/http2/testing.ts";
import { Harness, type RawClient } from "./testing/harness.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const hello = Buffer.concat([Buffer.from(clientPreface), frame(4, 0, 0, [])]);

async function attacker(harness: Harness, port: number): Promise<RawClient> {
  const client = await harness.raw(port);
  client.socket.write(hello);
  return client;
}

/** Resolves once all of it has left, which is when the other end has read nearly all. */
function written(client: RawClient, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => client.socket.write(bytes, () => resolve()));
}

const webSocket = [":method: CONNECT", ":protocol: websocket", ...pseudo.slice(1)];

/** Single bytes of data, as many as the stream's window lets through. */
function singleBytes(streamId: number, count: number): Uint8Array {
  const one = frame(0, 0, streamId, [65]);
  const all = Buffer.alloc(one.length * count);
  for (let i = 0; i < count; i++) all.set(one, i * one.length);
  return all;
}

describe("a client of HTTP/2", { timeout: 60_000 }, () => {
  test("that sends single bytes ahead to a WebSocket has little more than these kept", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => socket.pause());
    const { sidecar, port } = await harness.toPorts([app]);
    const client = await attacker(harness, port);
    const { overload } = sidecar.runtime.environment;
    const count = 250_000;
    collect();
    const before = process.memoryUsage();
    await written(client, headers(1, webSocket, 0x4));
    await written(client, singleBytes(1, count));
    while (overload.heldBytes < count) {
      overload.measure();
      await new Promise((go) => setTimeout(go, 5));
    }
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    const grown = heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers;
    assert(grown < 8 * 1024 * 1024, `${grown} bytes for ${count}`);
  });
});
