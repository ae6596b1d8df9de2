/** WebSockets on streams of HTTP/2 (RFC 8441): clients and servers of Node's own, in every pairing with HTTP/1.1. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type ClientHttp2Stream, connect, constants, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../../model/proxy-config.ts";
import { Harness, metric, request } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  labels,
  outbound,
  passthrough,
  route,
  upstreamTls,
  virtualHost,
} from "../testing/mesh.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";

/** Echoes bytes behind the handshake, in HTTP/1.1; `accept` instead of the right proof. */
function echo1(harness: Harness, seen: string[], accept?: string): Promise<number> {
  return harness.tcpApp((socket) => {
    socket.once("data", (bytes: Buffer) => {
      const [head = "", ahead = ""] = bytes.toString("latin1").split("\r\n\r\n");
      seen.push(head);
      if (ahead !== "") seen.push(`ahead of the answer: ${ahead}`);
      const key = /sec-websocket-key: (.*)/i.exec(head)?.[1]?.trim() ?? "";
      const right = createHash("sha1")
        .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest("base64");
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: ${accept ?? right}\r\n\r\n`,
      );
      socket.pipe(socket);
    });
  });
}

/** The same on streams. */
function echo2(harness: Harness, seen: string[], takes = true) {
  const settings = takes ? { enableConnectProtocol: true } : {};
  return http2App(
    harness,
    (stream, headers) => {
      const { ":method": method, ":protocol": protocol, ":path": path, ...rest } = headers;
      seen.push(`${method} ${protocol} ${path} ${"sec-websocket-key" in rest}`);
      stream.respond({ ":status": 200, "sec-websocket-protocol": "chat" });
      stream.pipe(stream);
    },
    settings,
  );
}

async function through(harness: Harness, port: number, more: Partial<Cluster> = {}) {
  return harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
    clusters: [cluster("app", more)],
    endpoints: [{ cluster: "app", endpoints: [endpoint(port)] }],
  });
}

interface Opened {
  readonly stream: ClientHttp2Stream;
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
}

async function open(
  harness: Harness,
  port: number,
  more: OutgoingHttpHeaders = {},
): Promise<Opened> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  harness.atEnd(() => session.destroy());
  const settings = session.remoteSettings.enableConnectProtocol
    ? [session.remoteSettings]
    : await once(session, "remoteSettings");
  assert.equal(settings[0].enableConnectProtocol, true);
  const stream = session.request(
    {
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "http",
      ":authority": "cart",
      ":path": "/chat?room=1",
      "sec-websocket-version": "13",
      ...more,
    },
    { endStream: false },
  );
  const [headers] = await once(stream, "response");
  return { stream, status: headers[":status"], headers };
}

async function say(stream: ClientHttp2Stream, text: string): Promise<string> {
  stream.write(text);
  let heard = "";
  while (heard.length < text.length) {
    const [bytes] = await once(stream, "data");
    heard += String(bytes);
  }
  return heard;
}

/** The handshake of HTTP/1.1 by hand, then what comes. */
async function open1(harness: Harness, port: number) {
  const client = await harness.raw(port);
  client.send(
    "GET /chat?room=1 HTTP/1.1\r\nhost: cart\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await client.until((text) => text.includes("\r\n\r\n"));
  return client;
}

describe("a WebSocket of HTTP/2", () => {
  test("reaches a server of HTTP/1.1 as an upgrade, both ways and to its end", {
    timeout: 300_000,
  }, async () => {
    await using harness = new Harness();
    const seen: string[] = [];
    const { port, sidecar } = await through(harness, await echo1(harness, seen));
    const { stream, status, headers } = await open(harness, port);
    assert.deepEqual([status, headers["sec-websocket-protocol"]], [200, "chat"]);
    assert.equal(headers["sec-websocket-accept"], undefined);
    assert.equal(await say(stream, "hello"), "hello");
    assert.equal(await say(stream, "again"), "again");
    stream.end();
    await once(stream, "close");
    assert.equal(stream.rstCode, 0);
    const [head = ""] = seen;
    assert.match(head, /^GET \/chat\?room=1 HTTP\/1\.1\r\nhost: cart\r\n/);
    for (const line of ["upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13"]) {
      assert(head.includes(line), head);
    }
    assert.match(head, /sec-websocket-key: [\w+/]{22}==/);
    while (sidecar.runtime.environment.overload.activeRequests > 0) await delay(2);
    assert.equal(metric(sidecar, "istio_requests_total", { response_code: "101" }), 1);
  });

  test("reaches a server of HTTP/2 on a stream where that takes it, else as an upgrade", {
    timeout: 300_000,
  }, async () => {
    for (const protocol of ["http/2", "downstream"] as const) {
      await using harness = new Harness();
      const seen: string[] = [];
      const app = await echo2(harness, seen);
      const { port } = await through(harness, app.port, { protocol });
      const { stream, status } = await open(harness, port, { "sec-websocket-key": "of no use" });
      assert.equal(status, 200);
      assert.equal(await say(stream, "hello"), "hello");
      stream.end();
      await once(stream, "close");
      assert.deepEqual(seen, ["CONNECT websocket /chat?room=1 false"]);
      const { stream: second } = await open(harness, port);
      second.close(constants.NGHTTP2_CANCEL);
      await delay(20);
      assert.equal(
        app.sessions.length,
        1,
        "the connection is shared, and outlives what is cancelled",
      );
    }
  });

  test("carries megabytes at the slower side's pace", { timeout: 300_000 }, async () => {
    await using harness = new Harness();
    const app = await echo2(harness, []);
    const { port, sidecar } = await through(harness, app.port, { protocol: "http/2" });
    const { stream } = await open(harness, port);
    const chunk = Buffer.alloc(64 * 1024, "0123456789abcdef");
    const total = 128 * chunk.length;
    let sent = 0;
    const pump = () => {
      while (sent < total) {
        sent += chunk.length;
        if (!stream.write(chunk)) return void stream.once("drain", pump);
      }
      stream.end();
    };
    pump();
    let before = -1;
    while (before !== sent) {
      before = sent;
      await delay(200);
    }
    assert(sent < total, "nobody reads, and yet all of it was taken");
    const { overload } = sidecar.runtime.environment;
    overload.measure();
    assert(overload.heldBytes < 2 << 20, `${overload.heldBytes} bytes are held`);
    let received = 0;
    for await (const bytes of stream) received += bytes.length;
    assert.equal(received, total);
  });

  test("is not taken for open where its server answers 200, or proves nothing", {
    timeout: 300_000,
  }, async () => {
    await using harness = new Harness();
    const plain = await harness.app((_, res) => res.end("a page"));
    const liar = await echo1(harness, [], "bm90IHRoZSBwcm9vZg==");
    for (const app of [plain, liar]) {
      const { port } = await through(harness, app);
      assert.equal((await open(harness, port)).status, 502);
    }
    const refusing = await harness.app((_, res) => res.writeHead(403).end("no"));
    const { port } = await through(harness, refusing);
    assert.equal((await open(harness, port)).status, 403);
  });

  test("keeps from its server what comes ahead of the answer", { timeout: 300_000 }, async () => {
    await using harness = new Harness();
    const seen: string[] = [];
    const { port } = await through(harness, await echo1(harness, seen));
    const { session } = new Http2Client(harness, port);
    await once(session, "remoteSettings");
    const stream = session.request(
      {
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":authority": "cart",
        ":path": "/",
      },
      { endStream: false },
    );
    stream.write("GET /smuggled HTTP/1.1\r\nhost: cart\r\n\r\n");
    const [bytes] = await once(stream, "data");
    assert.match(String(bytes), /smuggled/);
    assert.equal(seen.length, 1, `${seen}`);
  });

  test("breaks where the other side does", { timeout: 300_000 }, async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => {
      socket.once("data", (bytes: Buffer) => {
        const key = /sec-websocket-key: (.*)\r\n/i.exec(bytes.toString("latin1"))?.[1] ?? "";
        const accept = createHash("sha1")
          .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest("base64");
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
        socket.on("data", () => socket.resetAndDestroy());
      });
    });
    const { port, sidecar } = await through(harness, app);
    const { stream } = await open(harness, port);
    stream.on("error", () => {});
    stream.write("go");
    stream.resume();
    await once(stream, "close");
    while (sidecar.runtime.environment.overload.activeRequests > 0) await delay(2);
  });

  test("of another protocol is answered 501, and reset where it is malformed", {
    timeout: 300_000,
  }, async () => {
    await using harness = new Harness();
    const { port } = await through(harness, await echo1(harness, []));
    assert.equal((await open(harness, port, { ":protocol": "connect-udp" })).status, 501);
    await assert.rejects(open(harness, port, { "content-length": "5" }));
  });
});

describe("a WebSocket of HTTP/1.1", () => {
  test("reaches a server of HTTP/2 on a stream, and its client sees the proof", {
    timeout: 300_000,
  }, async () => {
    await using harness = new Harness();
    const seen: string[] = [];
    const app = await echo2(harness, seen);
    const { port } = await through(harness, app.port, { protocol: "http/2" });
    const client = await open1(harness, port);
    assert.match(client.text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(client.text, /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/); // RFC 6455's example
    client.send("hello");
    assert((await client.until((text) => text.endsWith("hello"))).endsWith("\r\n\r\nhello"));
    client.socket.end();
    await client.untilEnd();
    assert.deepEqual(seen, ["CONNECT websocket /chat?room=1 false"]);
  });

  test("reaches a server that takes no other protocols on streams as an upgrade", {
    timeout: 300_000,
  }, async () => {
    await using harness = new Harness();
    const seen: string[] = [];
    // The connection of HTTP/2 is to find that out, the next one is the WebSocket's.
    const two = await echo2(harness, seen, false);
    const one = await echo1(harness, seen);
    let connections = 0;
    const either = await harness.tcpApp((socket) => {
      const to = connectTcp(connections++ === 0 ? two.port : one, "127.0.0.1");
      socket.pipe(to).pipe(socket);
      to.on("error", () => socket.destroy());
    });
    const { port } = await through(harness, either, { protocol: "http/2" });
    const client = await open1(harness, port);
    assert.match(client.text, /^HTTP\/1\.1 101 /);
    assert.match(seen[0] ?? "", /^GET \/chat/);
  });
});

test("a WebSocket of HTTP/2 goes through two sidecars, from stream to stream", {
  timeout: 300_000,
}, async () => {
  await using harness = new Harness();
  const ca = await createMeshCa();
  const seen: string[] = [];
  const app = await echo2(harness, seen);
  const id = (account: string) => `spiffe://cluster.local/ns/shop/sa/${account}`;
  const server = await harness.sidecar(
    {
      workload: labels("shop", "cart"),
      destination: () => ({ address: "127.0.0.1", port: app.port }),
    },
    inbound(app.port, { protocol: "downstream" }),
    { secrets: await ca.secrets(id("cart")) },
  );
  const client = await harness.sidecar(
    { destination: () => ({ address: "10.96.0.1", port: 80 }) },
    {
      ...outbound([virtualHost(["*"], [route(forward("cart"))])]),
      clusters: [
        cluster("cart", { protocol: "http/2", tls: upstreamTls(id("cart")) }),
        passthrough,
      ],
      endpoints: [
        {
          cluster: "cart",
          endpoints: [endpoint(server.portOf("virtualInbound") ?? 0, { tls: true })],
        },
      ],
    },
    { secrets: await ca.secrets(id("web")) },
  );
  const port = client.portOf("virtualOutbound") ?? 0;
  const { stream, status } = await open(harness, port);
  assert.equal(status, 200);
  assert.equal(await say(stream, "hello"), "hello");
  stream.end();
  await once(stream, "close");
  assert.deepEqual(seen, ["CONNECT websocket /chat?room=1 false"]);
  // The very connections take other requests meanwhile.
  assert.equal((await request(port, { path: "/" })).status, 200);
});
