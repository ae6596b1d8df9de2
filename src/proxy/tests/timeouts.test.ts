/** What a route's timeouts count from: the end of the request, as with Envoy. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Stream, connect } from "node:http2";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { Harness } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const timeoutMs = 150;
const head = "POST /upload HTTP/1.1\r\nhost: cart\r\ncontent-length: 6\r\n\r\n";
const answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** Resolves when `ms` have gone by on the clock that timeouts go by. */
async function after(ms: number): Promise<void> {
  const until = performance.now() + ms;
  while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
}

function toApp(
  harness: Harness,
  port: number,
  action: Parameters<typeof forward>[1],
  more: Parameters<typeof cluster>[1] = {},
) {
  return harness.outbound([virtualHost(["*"], [route(forward("app", action))])], {
    clusters: [cluster("app", more)],
    endpoints: [{ cluster: "app", endpoints: [endpoint(port)] }],
  });
}

/** Answers a request whose body ends with `done`. */
function uploads(socket: Socket): void {
  let text = "";
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString("latin1");
    if (text.endsWith("done")) socket.write(answer);
  });
}

describe("a route's timeout", () => {
  test("does not end an upload that takes longer than it", async () => {
    await using harness = new Harness();
    const { port } = await toApp(harness, await harness.tcpApp(uploads), { timeoutMs });
    const client = await harness.raw(port);
    client.send(`${head}up`);
    await after(timeoutMs * 2);
    client.send("done");
    assert.match(await client.until((text) => text.includes("\r\n\r\nok")), /^HTTP\/1.1 200 /);
  });

  test("runs from the end of an upload on", async () => {
    await using harness = new Harness();
    const { port } = await toApp(harness, await harness.tcpApp(() => {}), { timeoutMs });
    const client = await harness.raw(port);
    client.send(`${head}up`);
    await after(timeoutMs);
    client.send("done");
    assert.match(await client.until((text) => text.includes("timeout")), /^HTTP\/1.1 504 /);
  });

  test("does not end a conversation of gRPC whose caller has not said all", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.on("data", (bytes: Buffer) => stream.write(bytes));
    });
    const { port } = await toApp(harness, app.port, { timeoutMs }, { protocol: "http/2" });
    const session = connect(`http://127.0.0.1:${port}`);
    harness.atEnd(() => session.destroy());
    const stream: ClientHttp2Stream = session.request({
      ":method": "POST",
      ":path": "/chat.Chat/Talk",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.write("one");
    await once(stream, "data");
    await after(timeoutMs * 2);
    stream.write("two");
    const [echoed] = await once(stream, "data");
    assert.equal(String(echoed), "two");
  });
});

test("a try's timeout does not end one whose request is still on its way", async () => {
  await using harness = new Harness();
  const retry = {
    attempts: 1,
    perTryTimeoutMs: timeoutMs,
    on: ["5xx"],
    retriableStatusCodes: [],
    baseBackoffMs: 1,
    maxBackoffMs: 1,
  };
  let connections = 0;
  const app = await harness.tcpApp((socket) => {
    connections++;
    uploads(socket);
  });
  const { port } = await toApp(harness, app, { retry });
  const client = await harness.raw(port);
  client.send(`${head}up`);
  await after(timeoutMs * 2);
  client.send("done");
  assert.match(await client.until((text) => text.includes("\r\n\r\nok")), /^HTTP\/1.1 200 /);
  assert.equal(connections, 1);
});
