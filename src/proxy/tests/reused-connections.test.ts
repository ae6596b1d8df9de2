/** Pooled and shared connections that end or break as a request takes them. */

import assert from "node:assert/strict";
import { constants, type ServerHttp2Stream } from "node:http2";
import { describe, test } from "node:test";
import { Harness, metric, request } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

describe("a pooled connection", () => {
  test("that the application closes as it is taken is replaced by a fresh one", async () => {
    await using harness = new Harness();
    let connections = 0;
    const app = await harness.tcpApp((socket) => {
      const isFirst = ++connections === 1;
      let requests = 0;
      socket.on("data", () => {
        // The first connection answers once and breaks on the second request: the keep-alive race.
        if (isFirst && ++requests === 2) socket.resetAndDestroy();
        else socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    await client.send(get).until((text) => text.endsWith("ok"));
    client.text = "";
    assert.match(await client.send(get).until((text) => text.endsWith("ok")), /^HTTP\/1.1 200/);
    assert.equal(connections, 2);
  });

  test("is not trusted with a request that must not run twice", async () => {
    await using harness = new Harness();
    let requests = 0;
    const app = await harness.tcpApp((socket) => {
      socket.on("data", () => {
        if (++requests === 2) socket.resetAndDestroy();
        else socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    });
    const { port, sidecar } = await harness.toPorts([app]);
    assert.equal((await request(port)).status, 200);
    const answer = await request(port, { method: "POST" }, "order");
    assert.equal(answer.status, 503);
    assert.match(answer.body, /connection termination/);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "UC" }), 1);
  });
});

describe("a shared connection", () => {
  const toHttp2 = (harness: Harness, app: number) =>
    harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
      clusters: [cluster("app", { protocol: "http/2" })],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    });

  test("on which the application resets a request does not bring it back for ever", async () => {
    await using harness = new Harness();
    let tries = 0;
    const app = await http2App(harness, (stream, headers) => {
      if (headers[":path"] === "/poison" && ++tries < 100) {
        stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      } else stream.respond({}, { endStream: true });
    });
    const { port } = await toHttp2(harness, app.port);
    const client = new Http2Client(harness, port);
    assert.equal((await client.request({})).headers[":status"], 200);
    assert.equal((await client.request({ ":path": "/poison" })).headers[":status"], 503);
    assert.equal(tries, 1);
  });

  test("that breaks under a request is replaced by a fresh one", async () => {
    await using harness = new Harness();
    const held: ServerHttp2Stream[] = [];
    const app = await http2App(harness, (stream, headers) => {
      if (headers[":path"] === "/hold" && held.length === 0) held.push(stream);
      else stream.respond({}, { endStream: true });
    });
    const { port } = await toHttp2(harness, app.port);
    const client = new Http2Client(harness, port);
    assert.equal((await client.request({})).headers[":status"], 200);
    const answer = client.request({ ":path": "/hold" });
    while (held.length === 0) await new Promise(setImmediate);
    app.sockets[0]?.resetAndDestroy();
    assert.equal((await answer).headers[":status"], 200);
    assert.equal(app.sessions.length, 2);
  });
});
