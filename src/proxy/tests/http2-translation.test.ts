/** Requests whose client and application speak different versions of HTTP. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Harness, request } from "../testing/harness.ts";
import { echo, Http2Client, http2App, toHttp2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";
import { hexFrame } from "../testing/raw-frames.ts";

describe("a client of HTTP/2", () => {
  test("reaches an application of HTTP/1.1, which sees a request of its own kind", async () => {
    await using harness = new Harness();
    const seen: string[] = [];
    const app = await harness.app((incoming, response) => {
      let body = "";
      incoming.on("data", (bytes) => {
        body += bytes;
      });
      incoming.on("end", () => {
        const { host, te, cookie } = incoming.headers;
        seen.push(`${incoming.method} ${incoming.url} ${host} ${te} ${cookie} ${body}`);
        seen.push(String(incoming.headers["transfer-encoding"]));
        response.writeHead(201, { "X-Upper": "Yes", trailer: "x-sum", "keep-alive": "timeout=5" });
        response.write("one ");
        response.addTrailers({ "X-Sum": "7" });
        response.end("two");
      });
    });
    const { port } = await toHttp2App(harness, app, undefined);
    const client = new Http2Client(harness, port);
    const answer = await client.request(
      { ":method": "POST", ":path": "/a?b", te: "trailers", cookie: ["a=1", "b=2"] },
      "hello",
    );
    assert.deepEqual(seen, ["POST /a?b cart undefined a=1; b=2 hello", "chunked"]);
    assert.equal(answer.headers[":status"], 201);
    assert.equal(answer.headers["x-upper"], "Yes");
    assert.equal(answer.headers["keep-alive"], undefined);
    assert.equal(answer.headers["transfer-encoding"], undefined);
    assert.equal(answer.body, "one two");
    assert.equal(answer.trailers["x-sum"], "7");
  });
});

describe("edits of headers", () => {
  test("written in capitals reach HTTP/2 in the small letters that it takes", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo);
    const edit = { set: [["X-Team", " shop "]] as const, add: [], remove: ["X-Gone"] };
    const { port } = await harness.outbound(
      [
        virtualHost(
          ["*"],
          [route(forward("app"), { requestHeaders: edit, responseHeaders: edit })],
        ),
      ],
      {
        clusters: [cluster("app", { protocol: "downstream" })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app.port)] }],
      },
    );
    const answer = await new Http2Client(harness, port).request({ "x-gone": "1", "x-team": "no" });
    const seen = JSON.parse(String(answer.headers["x-seen"])) as Record<string, string>;
    assert.deepEqual(
      [seen["x-team"], seen["x-gone"], answer.headers["x-team"]],
      ["shop", undefined, "shop"],
    );
  });
});

describe("a client of HTTP/1.1", () => {
  test("reaches an application of HTTP/2, which sees a request of its own kind", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo);
    const { port } = await toHttp2App(harness, app.port, "http/2");
    const headers = { "X-Upper": "Yes", connection: "keep-alive, x-hop", "x-hop": "1" };
    const answer = await request(port, { method: "POST", path: "/p?q", headers }, "hello");
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "hello");
    assert.equal(answer.headers["x-path"], "/p?q");
    const seen = JSON.parse(String(answer.headers["x-seen"])) as Record<string, string>;
    assert.equal(seen[":authority"], "cart");
    assert.equal(seen["x-upper"], "Yes");
    assert.equal(seen["x-hop"], undefined);
    assert.equal(seen["content-length"], "5");
    assert.equal(answer.headers["transfer-encoding"], "chunked");
  });

  test("that sends chunks has them taken off, and its trailers carried on", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) => {
      let body = "";
      let sum = "";
      stream.on("trailers", (trailers) => {
        sum = String(trailers["x-sum"]);
      });
      stream.on("data", (bytes) => {
        body += bytes;
      });
      stream.on("end", () => {
        stream.respond({ "x-got": `${body} ${sum}` }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-after": "9" }));
        stream.end("ok");
      });
    });
    const { port } = await toHttp2App(harness, app.port, "http/2");
    const raw = await harness.raw(port);
    raw.send("POST / HTTP/1.1\r\nHost: cart\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    raw.send("4;x=y\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n");
    const text = await raw.until((received) => received.includes("0\r\nx-after: 9\r\n\r\n"));
    assert.match(text, /x-got: abcdefg 7\r\n/);
  });

  test("keeps its connection over answers of HTTP/2 without a body", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) =>
      stream.respond({ ":status": 204 }, { endStream: true }),
    );
    const { port } = await toHttp2App(harness, app.port, "http/2");
    const raw = await harness.raw(port);
    const ask = "GET / HTTP/1.1\r\nHost: cart\r\n\r\n";
    raw.send(ask + ask);
    const text = await raw.until((received) => received.split("204 No Content").length === 3);
    assert(!text.includes("chunked"));
  });
});

describe("an answer of HTTP/2 that ends with its head, and names no length,", () => {
  for (const [status, reason] of [
    [200, "OK"],
    [302, "Found"],
    [503, "Service Unavailable"],
  ] as const) {
    test(`does not leave a client of HTTP/1.1 waiting for a body: ${status}`, async () => {
      await using harness = new Harness();
      const app = await http2App(harness, (stream) =>
        stream.respond({ ":status": status }, { endStream: true }),
      );
      const { port } = await toHttp2App(harness, app.port, "http/2");
      const raw = await harness.raw(port);
      raw.send("GET / HTTP/1.1\r\nHost: cart\r\n\r\n");
      const text = await raw.until((received) => received.endsWith("\r\n\r\n"));
      assert.match(text, new RegExp(`^HTTP/1.1 ${status} ${reason}\r\n`));
      assert.match(text, /\r\ncontent-length: 0\r\n/);
    });
  }
});

describe("an answer of HTTP/2 without a body whose end comes later", () => {
  for (const [name, method, status] of [
    ["to HEAD", "HEAD", "88"],
    ["of status 204", "GET", "89"],
    ["of status 304", "GET", "8b"],
  ] as const) {
    test(`${name} puts nothing behind its head in HTTP/1.1`, async () => {
      await using harness = new Harness();
      const answer = [hexFrame(4, 0, 0, ""), hexFrame(1, 4, 1, status), hexFrame(0, 1, 1, "")];
      const app = await harness.tcpApp((socket) => {
        socket.once("data", () => socket.write(Buffer.concat(answer)));
      });
      const { port } = await toHttp2App(harness, app, "http/2");
      const raw = await harness.raw(port);
      raw.send(`${method} / HTTP/1.1\r\nHost: cart\r\nConnection: close\r\n\r\n`);
      assert.match(await raw.untilEnd(), /^HTTP\/1\.1 \d+ (?:(?!chunked)[^\r]+\r\n)+\r\n$/);
    });
  }
});
