/** WebSockets where requests are hedged. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Harness } from "../testing/harness.ts";
import { Http2Client } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

test("a WebSocket that calls itself gRPC is not hedged", async () => {
  await using harness = new Harness();
  let asked = 0;
  let open = 0;
  const app = () =>
    harness.tcpApp((socket) => {
      socket.on("error", () => {});
      socket.once("data", async (bytes: Buffer) => {
        asked++;
        open++;
        socket.on("close", () => open--);
        socket.on("end", () => socket.end());
        socket.resume();
        await delay(100);
        const key = /sec-websocket-key: (.*)/i.exec(bytes.toString())?.[1]?.trim() ?? "";
        const right = createHash("sha1")
          .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest("base64");
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${right}\r\n\r\n`,
        );
      });
    });
  const ports = [await app(), await app()];
  const { port } = await harness.outbound(
    [
      virtualHost(
        ["*"],
        [route(forward("app", { hedge: { kind: "delay", delayMs: 20, includesGrpc: true } }))],
      ),
    ],
    {
      clusters: [cluster("app", { balancer: { kind: "round-robin" } })],
      endpoints: [{ cluster: "app", endpoints: ports.map((each) => endpoint(each)) }],
    },
    { random: () => 0 },
  );
  const client = new Http2Client(harness, port, {});
  await new Promise((go) => client.session.once("remoteSettings", go));
  const N = 5;
  for (let i = 0; i < N; i++) {
    const stream = client.session.request({
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "http",
      ":path": "/",
      ":authority": "a",
      "content-type": "application/grpc",
      "sec-websocket-version": "13",
    });
    stream.on("error", () => {});
    const status = await new Promise((go) => {
      stream.on("response", (h) => go(h[":status"]));
      stream.on("close", () => go("closed"));
    });
    assert.equal(status, 200);
    stream.close();
  }
  client.session.destroy();
  while (open > 0) await delay(2);
  assert.equal(asked, N);
});
