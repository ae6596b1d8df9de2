/** What a client of HTTP/2 that means ill can make a sidecar keep, or keep from others. */

import assert from "node:assert/strict";
import { constants } from "node:http2";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { clientPreface } from "../../wire/http2/protocol.ts";
import { connectionWindowBytes, streamWindowBytes } from "../../wire/http2/receive-windows.ts";
import { frame, headers, pseudo } from "../../wire/http2/testing.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness, type RawClient } from "../testing/harness.ts";
import { Http2Client, http2App, toHttp2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";
import { hexFrame } from "../testing/raw-frames.ts";

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

async function held({ runtime }: Sidecar, bytes: number): Promise<void> {
  const { overload } = runtime.environment;
  while (overload.heldBytes < bytes) {
    await new Promise((go) => setTimeout(go, 5));
    overload.measure();
  }
}

const hasLeft = ({ hasEnded, isClosed }: RawClient): boolean => hasEnded || isClosed;

const webSocket = [":method: CONNECT", ":protocol: websocket", ...pseudo.slice(1)];

/** Single bytes of data, as many as the stream's window lets through. */
function singleBytes(streamId: number, count: number): Uint8Array {
  const one = frame(0, 0, streamId, [65]);
  const all = Buffer.alloc(one.length * count);
  for (let i = 0; i < count; i++) all.set(one, i * one.length);
  return all;
}

describe("a client of HTTP/2", { timeout: 300_000 }, () => {
  test("that sends single bytes ahead to a WebSocket has little more than these kept", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => socket.pause());
    const { sidecar, port } = await harness.toPorts([app]);
    const client = await attacker(harness, port);
    const count = 250_000;
    collect();
    const before = process.memoryUsage();
    await written(client, headers(1, webSocket, 0x4));
    await written(client, singleBytes(1, count));
    await held(sidecar, count);
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    const grown = heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers;
    assert(grown < 8 * 1024 * 1024, `${grown} bytes for ${count}`);
  });

  test("that asks and asks and reads no answer is not read any more, and others are served", async () => {
    await using harness = new Harness();
    let served = 0;
    const app = await harness.app(({ url }, res) => {
      if (url === "/") served++;
      res.setHeader("x-long", "a".repeat(8_000));
      res.writeHead(204).end();
    });
    const limits = { maxHeldBytes: 8 * 2 ** 20 };
    const { sidecar, port } = await harness.toPorts([app], { limits });
    const { overload } = sidecar.runtime.environment;
    const deaf = await attacker(harness, port);
    deaf.socket.pause();
    const other = new Http2Client(harness, port);
    let asked = 0;
    for (let isRead = true; isRead && asked < 4_000; ) {
      const before = served;
      for (let i = 0; i < 50; i++) deaf.socket.write(headers(2 * asked++ + 1, pseudo, 0x5));
      for (let round = 0; served < asked && round < 50; round++) {
        const { headers: answer } = await other.request({ ":path": "/other" });
        assert.equal(answer[":status"], 204);
      }
      isRead = served > before;
    }
    overload.measure();
    assert(overload.heldBytes > 2 ** 20 && overload.heldBytes < 2 ** 21, `${overload.heldBytes}`);
    // What it had asked is answered once it reads.
    assert.equal(hasLeft(deaf), false);
    deaf.socket.resume();
    while (served < asked) await new Promise(setImmediate);
  });

  test("that takes no data keeps no other's answers from the connection that both go by", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream, { ":path": path }) => {
      stream.respond({ ":status": 200 });
      const piece = Buffer.alloc(1_024);
      if (path === "/large") Readable.from(new Array(512).fill(piece)).pipe(stream);
      else stream.end(piece);
    });
    const { sidecar, port } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      {
        clusters: [cluster("app", { protocol: "http/2" })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app.port)] }],
      },
    );
    const greedy = await attacker(harness, port);
    const stuck = connectionWindowBytes / streamWindowBytes + 8;
    const large = pseudo.map((line) => line.replace(/^:path: .*/, ":path: /large"));
    await written(greedy, frame(4, 0, 0, [0, 4, 0, 0, 0, 0])); // no window for any stream
    for (let i = 0; i < stuck; i++) await written(greedy, headers(2 * i + 1, large, 0x5));
    await held(sidecar, connectionWindowBytes - streamWindowBytes);
    const other = new Http2Client(harness, port);
    const { body } = await other.request({ ":path": "/small" });
    assert.equal(body.length, 1_024);
    assert.equal(app.sessions.length, 1);
  });

  test("that uploads for long may do so, wherever its frames are cut; one that stops in a head may not", async () => {
    await using harness = new Harness();
    let received = 0;
    const app = await harness.app((req) => {
      req.on("data", (bytes: Buffer) => {
        received += bytes.length;
      });
    });
    let now = 0;
    const { sidecar, port } = await harness.toPorts([app], {
      limits: { headerTimeoutMs: 30 },
      now: () => now,
    });
    const { connections } = sidecar.runtime;
    const client = await attacker(harness, port);
    await written(client, headers(1, [":method: POST", ...pseudo.slice(1)], 0x4));
    const whole = frame(0, 0, 1, new Array(1_000).fill(65));
    // From here on what is read ends within a frame, 491 bytes into its data.
    const next = Buffer.concat([whole.subarray(500), whole.subarray(0, 500)]);
    await written(client, whole.subarray(0, 500));
    for (let round = 0; round < 10; round++) {
      while (received < 491 + round * 1_000 && !hasLeft(client)) await new Promise(setImmediate);
      now += 10;
      connections.sweep(now);
      await written(client, next);
    }
    assert.equal(received >= 491 + 9_000 && !hasLeft(client), true);
    await written(client, whole.subarray(500));
    await written(client, headers(3, pseudo, 0x5).subarray(0, 12));
    while (!hasLeft(client)) {
      await new Promise((go) => setTimeout(go, 5));
      now += 5;
      connections.sweep(now);
    }
  });
});

describe("a client of HTTP/2 that floods", () => {
  test("with streams that it resets at once loses its connection, and nobody else's suffers", async () => {
    await using harness = new Harness();
    let opened = 0;
    const app = await http2App(harness, () => {
      opened++;
    });
    const { port } = await toHttp2App(harness, app.port, "http/2");
    const hostile = await harness.raw(port);
    hostile.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send(hexFrame(4, 0, 0, "").toString("latin1"));
    for (let i = 0; i < 1_000; i++) {
      // :method GET, :scheme http, :path /, :authority a; then RST_STREAM
      const pair = [
        hexFrame(1, 5, 2 * i + 1, "828684410161"),
        hexFrame(3, 0, 2 * i + 1, "00000008"),
      ];
      hostile.send(Buffer.concat(pair).toString("latin1"));
    }
    const said = await hostile.untilEnd();
    assert(said.includes("too many streams reset before their answer"));
    assert(opened <= 300, `${opened} streams reached the application`);
    const calm = new Http2Client(harness, port).session.request({ ":authority": "cart" });
    const before = opened;
    while (opened === before) await new Promise(setImmediate);
    calm.close(constants.NGHTTP2_CANCEL);
  });
});
