/** Answers byte by byte: what an application sends, and what of it its client gets. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Harness, metric, request } from "../testing/harness.ts";
import { Http2Client } from "../testing/http2.ts";
import { route, virtualHost } from "../testing/mesh.ts";

const long = "x".repeat(20_000);

/** With a date behind the start line, which an answer gets that has none. */
function dated(text: string): string {
  return text.replace(/^((?:\r\n)?HTTP[^\r]*\r\n)/, "$1Date: then\r\n");
}

// why, what the application sends, what the client gets
const answers: readonly (readonly [why: string, sent: string, got: string])[] = [
  [
    "with nothing to change goes on as it is",
    "HTTP/1.1 200 OK\r\nServer: app\r\ncontent-length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nServer: app\r\ncontent-length: 2\r\n\r\nhi",
  ],
  [
    "of other bytes than ASCII goes on as it is",
    "HTTP/1.1 200 f\xfcr\r\nx: \xe9\r\ncontent-length: 2\r\n\r\n\xff\x00",
    "HTTP/1.1 200 f\xfcr\r\nx: \xe9\r\ncontent-length: 2\r\n\r\n\xff\x00",
  ],
  [
    "loses what is about the application's connection",
    "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\ncontent-length: 2\r\nKeep-Alive: timeout=5\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
  ],
  [
    "loses what its Connection names",
    "HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nx-end: 2\r\ncontent-length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nx-end: 2\r\ncontent-length: 2\r\n\r\nhi",
  ],
  [
    "with a tab before a value gets a space there, though that is as long",
    "HTTP/1.1 200 OK\r\nx:\ta\r\ncontent-length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nx: a\r\ncontent-length: 2\r\n\r\nhi",
  ],
  [
    "of HTTP/1.0 is one of HTTP/1.1",
    "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
  ],
  [
    "in chunks keeps them",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx: a\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nx: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
  ],
  [
    "behind an empty line goes on without it",
    "\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
  ],
  [
    "that has no body does not claim one",
    "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nx: a\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nx: a\r\n\r\n",
  ],
  [
    "with a long body is whole",
    `HTTP/1.1 200 OK\r\ncontent-length: ${long.length}\r\n\r\n${long}`,
    `HTTP/1.1 200 OK\r\ncontent-length: ${long.length}\r\n\r\n${long}`,
  ],
];

describe("an answer", () => {
  for (const [why, ...texts] of answers) {
    test(why, async () => {
      const [sent, got] = texts.map(dated) as [string, string];
      await using harness = new Harness();
      const app = await harness.tcpApp((socket) =>
        socket.on("data", () => socket.write(sent, "latin1")),
      );
      const { port } = await harness.toPorts([app]);
      const client = await harness.raw(port);
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      const first = await client.until((text) => text.length >= got.length);
      assert.equal(first, got);
      // The connections carry the next request: nothing was left over, and nothing is missing.
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      const both = await client.until((text) => text.length >= 2 * got.length);
      assert.equal(both, got + got);
    });
  }

  test("to a client that leaves says so behind its own lines", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) =>
      socket.on("data", () =>
        socket.write(dated("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")),
      ),
    );
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    const wanted = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
    assert.equal(await client.untilEnd(), dated(wanted));
  });

  test("that only its end ends goes on in chunks", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) =>
      socket.on("data", () => socket.end(dated("HTTP/1.1 200 OK\r\nx: a\r\n\r\nhi"))),
    );
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    const wanted =
      "HTTP/1.1 200 OK\r\nx: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert.equal(await client.until((text) => text.includes("\r\n0\r\n\r\n")), dated(wanted));
  });

  test("that says no date gets one, behind its own lines and in both versions of HTTP", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) =>
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")),
    );
    const { port } = await harness.toPorts([app], { epochMs: () => 784_111_777_000 });
    const client = await harness.raw(port);
    const when = "Sun, 06 Nov 1994 08:49:37 GMT";
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    const wanted = `HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: ${when}\r\n\r\nhi`;
    assert.equal(await client.until((text) => text.endsWith("hi")), wanted);
    assert.equal((await new Http2Client(harness, port).request({})).headers["date"], when);
  });
});

describe("an answer of the sidecar's own", () => {
  for (const [status, line] of [
    [204, "HTTP/1.1 204 No Content"],
    [304, "HTTP/1.1 304 Not Modified"],
  ] as const) {
    test(`of status ${status} has no body, whatever it was to say`, async () => {
      await using harness = new Harness();
      const saying = route({ kind: "respond", status, body: "not to be read" });
      const { port } = await harness.outbound([virtualHost(["*"], [saying])], {});
      const client = await harness.raw(port);
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
      const head = `${line}\r\nserver: heddle\r\n`;
      const said = (await client.untilEnd()).replaceAll(/^date: .* GMT\r\n/gm, "");
      assert.equal(said, `${head}\r\n${head}connection: close\r\n\r\n`);
    });
  }

  test("has one content-type, its route's where that says one", async () => {
    await using harness = new Harness();
    const responseHeaders = {
      set: [["Content-Type", "application/json"]],
      add: [],
      remove: [],
    } as const;
    const saying = route({ kind: "respond", status: 503, body: "{}" }, { responseHeaders });
    const { port } = await harness.outbound([virtualHost(["*"], [saying])], {});
    const client = await harness.raw(port);
    const said = await client
      .send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
      .until((x) => x.endsWith("{}"));
    assert.deepEqual(said.match(/^content-type: .*$/gm), ["content-type: application/json"]);
    const { headers } = await new Http2Client(harness, port).request({});
    assert.equal(headers["content-type"], "application/json");
  });

  test("to a call of gRPC has one content-type, the call's, and is counted with its bytes", async () => {
    await using harness = new Harness();
    const responseHeaders = {
      set: [["Content-Type", "application/json"]],
      add: [["x-why", "gone"]],
      remove: [],
    } as const;
    const saying = route({ kind: "respond", status: 404, body: "{}" }, { responseHeaders });
    const { port, sidecar } = await harness.outbound([virtualHost(["*"], [saying])], {});
    const { session } = new Http2Client(harness, port);
    const call = session.request({ ":method": "POST", "content-type": "application/grpc" });
    call.end();
    const [headers, , raw] = await once(call, "response");
    assert.equal(raw.filter((name: string) => name === "content-type").length, 1);
    assert.equal(headers["content-type"], "application/grpc");
    assert.equal(headers["x-why"], "gone");
    const labels = { grpc_response_status: "12" };
    assert.ok(metric(sidecar, "istio_response_bytes_sum", labels) > 0);
  });

  test("says when it was made, in both versions of HTTP, also to what was no request", async () => {
    await using harness = new Harness();
    const saying = route({ kind: "respond", status: 404, body: "" });
    const { port } = await harness.outbound(
      [virtualHost(["*"], [saying])],
      {},
      {
        epochMs: () => 784_111_777_000,
      },
    );
    const when = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert.equal((await request(port)).headers["date"], when);
    assert.equal((await new Http2Client(harness, port).request({})).headers["date"], when);
    const client = await harness.raw(port);
    const refused = await client.send("GET / HTTP/1.1\r\n\r\n").untilEnd();
    assert.ok(refused.startsWith("HTTP/1.1 400 ") && refused.includes(`\r\ndate: ${when}\r\n`));
  });
});
