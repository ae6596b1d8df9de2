/** Copies of requests: that the mirror gets them, and that nobody else is the worse for it. */

import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { describe, test } from "node:test";
import { isBinomial } from "../../../test/binomial.ts";
import type { Cluster, Mirror } from "../../model/proxy-config.ts";
import { withShadowHost } from "../filter/mirror.ts";
import { Harness, request } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

interface Seen {
  readonly host: string | undefined;
  readonly url: string | undefined;
  readonly id: string | string[] | undefined;
  readonly body: string;
}

/** A mirror that remembers what it was sent, and answers with an error. */
async function mirror(harness: Harness) {
  const seen: Seen[] = [];
  let tell: () => void = () => {};
  const port = await harness.app(async (req, res) => {
    const body = await bodyOf(req);
    const { host, "x-request-id": id } = req.headers;
    seen.push({ host, url: req.url, id, body });
    res.writeHead(500).end("nobody reads this");
    tell();
  });
  const count = async (wanted: number) => {
    while (seen.length < wanted) {
      await new Promise<void>((resolve) => {
        tell = resolve;
      });
    }
    return seen;
  };
  return { port, seen, count };
}

async function bodyOf(req: IncomingMessage): Promise<string> {
  let text = "";
  for await (const bytes of req) text += bytes;
  return text;
}

function mirrored(
  harness: Harness,
  app: number,
  ports: readonly number[],
  mirrors: readonly Mirror[] = [{ cluster: "copy", percent: 100 }],
  settings: Partial<Cluster> = {},
) {
  return harness.outbound([virtualHost(["*"], [route(forward("app", { mirrors }))])], {
    clusters: [cluster("app"), cluster("copy", settings)],
    endpoints: [
      { cluster: "app", endpoints: [endpoint(app)] },
      { cluster: "copy", endpoints: ports.map((port) => endpoint(port)) },
    ],
  });
}

describe("a mirror", () => {
  test("gets a copy of the request, its host marked, and its answer goes nowhere", async () => {
    await using harness = new Harness();
    const ids: unknown[] = [];
    const app = await harness.app(async (req, res) => {
      ids.push(req.headers["x-request-id"]);
      res.end(await bodyOf(req));
    });
    const copy = await mirror(harness);
    const { port, sidecar } = await mirrored(harness, app, [copy.port]);
    const headers = { host: "cart:8080" };
    const answer = await request(port, { method: "POST", path: "/buy?n=1", headers }, "two");
    assert.deepEqual([answer.status, answer.body], [200, "two"]);
    const [seen] = await copy.count(1);
    assert.deepEqual([seen?.host, seen?.url, seen?.body], ["cart-shadow:8080", "/buy?n=1", "two"]);
    assert.equal(seen?.id, ids[0], "one request, one id");
    const { mirrored: counted } = sidecar.tables.clusters.get("copy") ?? {};
    while (counted?.underWay !== 0) await new Promise(setImmediate);
    assert.deepEqual(counted, { underWay: 0, sentTotal: 1, droppedTotal: 0 });
  });

  test("gets a body that comes in pieces, in chunks or with a length", async () => {
    await using harness = new Harness();
    const app = await harness.app(async (req, res) => res.end(await bodyOf(req)));
    const copy = await mirror(harness);
    const { port } = await mirrored(harness, app, [copy.port]);
    const body = "0123456789abcdef".repeat(20_000);
    for (const headers of [
      { "content-length": `${body.length}` },
      { "transfer-encoding": "chunked" },
    ]) {
      assert.equal((await request(port, { method: "POST", headers }, body)).body, body);
    }
    for (const seen of await copy.count(2)) assert.equal(seen.body, body);
  });

  test("of HTTP/1.1 gets what came in HTTP/2, and the other way round", async () => {
    await using harness = new Harness();
    const app = await harness.app(async (req, res) => res.end(await bodyOf(req)));
    const copy = await mirror(harness);
    const { port } = await mirrored(harness, app, [copy.port]);
    const client = new Http2Client(harness, port);
    const post = { ":method": "POST", ":path": "/two" };
    assert.equal((await client.request(post, "came in frames")).body, "came in frames");
    const [seen] = await copy.count(1);
    assert.deepEqual(
      [seen?.host, seen?.url, seen?.body],
      ["cart-shadow", "/two", "came in frames"],
    );

    let copied: unknown[] = [];
    const framed = await http2App(harness, async (stream, headers) => {
      let body = "";
      for await (const bytes of stream) body += bytes;
      copied = [headers[":authority"], headers[":path"], body];
      stream.respond({ ":status": 200 });
      stream.end();
    });
    const both = await mirrored(harness, app, [framed.port], undefined, { protocol: "http/2" });
    const headers = { "transfer-encoding": "chunked" };
    const answer = await request(both.port, { method: "POST", path: "/one", headers }, "in chunks");
    assert.equal(answer.body, "in chunks");
    while (copied.length === 0) await new Promise(setImmediate);
    assert.deepEqual(copied, ["cart-shadow", "/one", "in chunks"]);
  });

  test("gets one copy of a request that was delayed on purpose and tried twice", async () => {
    await using harness = new Harness();
    let tries = 0;
    const app = await harness.app(async (req, res) => {
      const body = await bodyOf(req);
      res.writeHead(++tries === 1 ? 503 : 200).end(body);
    });
    const copy = await mirror(harness);
    const retry = {
      attempts: 1,
      perTryTimeoutMs: 0,
      on: ["5xx"],
      retriableStatusCodes: [],
      baseBackoffMs: 1,
      maxBackoffMs: 1,
    };
    const mirrors = [{ cluster: "copy", percent: 100 }];
    const fault = { delay: { percent: 100, fixedMs: 20 } };
    const { port } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app", { mirrors, retry }), { fault })])],
      {
        clusters: [cluster("app"), cluster("copy")],
        endpoints: [
          { cluster: "app", endpoints: [endpoint(app)] },
          { cluster: "copy", endpoints: [endpoint(copy.port)] },
        ],
      },
    );
    const answer = await request(port, { method: "POST" }, "kept meanwhile");
    assert.deepEqual([answer.status, answer.body, tries], [200, "kept meanwhile", 2]);
    await copy.count(1);
    assert.deepEqual(
      copy.seen.map(({ body }) => body),
      ["kept meanwhile"],
    );
  });

  test("gets the share that it was given", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const copy = await mirror(harness);
    const { port, sidecar } = await mirrored(
      harness,
      app,
      [copy.port],
      [{ cluster: "copy", percent: 25 }],
    );
    for (let i = 0; i < 200; i++) await request(port);
    const sent = sidecar.tables.clusters.get("copy")?.mirrored.sentTotal ?? 0;
    assert(isBinomial(sent, 200, 0.25), `${sent} of 200`);
  });

  test("that is dead, gone or silent fails and delays nothing", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const silent = await harness.app(() => {});
    for (const ports of [[await harness.deadPort()], [], [silent]]) {
      const { port } = await mirrored(harness, app, ports);
      for (let i = 0; i < 5; i++) assert.equal((await request(port)).body, "ok");
    }
    const { port } = await mirrored(harness, app, [], [{ cluster: "unknown", percent: 100 }]);
    assert.equal((await request(port)).body, "ok");
  });

  test("that does not read falls behind and is given up; the request is not slowed down", async () => {
    await using harness = new Harness();
    const app = await harness.app(async (req, res) => res.end(`${(await bodyOf(req)).length}`));
    const deaf = await harness.tcpApp((socket) => socket.pause());
    const { port, sidecar } = await mirrored(harness, app, [deaf]);
    const bytes = 32 * 1024 * 1024; // more than both sockets take and the copy keeps
    const answer = await request(port, { method: "POST" }, "x".repeat(bytes));
    assert.equal(answer.body, `${bytes}`);
    const counted = sidecar.tables.clusters.get("copy")?.mirrored;
    assert.deepEqual(counted, { underWay: 0, sentTotal: 1, droppedTotal: 1 });
  });

  test("is not sent half a request whose client has left as if it were whole", async () => {
    await using harness = new Harness();
    const app = await harness.app(() => {});
    let text = "";
    let closed: () => void = () => {};
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    let begun: () => void = () => {};
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const copy = await harness.tcpApp((socket) => {
      socket.on("data", (bytes) => {
        text += bytes.toString("latin1");
        if (text.includes("half")) begun();
      });
      socket.on("end", () => socket.end());
      socket.on("close", closed);
    });
    const { port } = await mirrored(harness, app, [copy]);
    const client = await harness.raw(port);
    client.send("POST / HTTP/1.1\r\nhost: cart\r\ncontent-length: 10\r\n\r\nhalf");
    await hasBegun;
    client.socket.destroy();
    await isClosed;
    assert.match(text, /host: cart-shadow\r\n[\s\S]*\r\n\r\nhalf$/);
  });

  test("gets no more than a thousand copies at a time", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const { port, sidecar } = await mirrored(harness, app, [await harness.app(() => {})]);
    const counted = sidecar.tables.clusters.get("copy")?.mirrored;
    assert(counted !== undefined);
    counted.underWay = 1_024;
    assert.equal((await request(port)).body, "ok");
    assert.deepEqual([counted.sentTotal, counted.droppedTotal], [0, 1]);
  });
});

describe("a copy's host", () => {
  const hosts: readonly (readonly [given: string, copied: string])[] = [
    ["cart", "cart-shadow"],
    ["cart.shop:80", "cart.shop-shadow:80"],
    ["[::1]:80", "[::1]-shadow:80"],
  ];
  for (const [given, copied] of hosts) {
    test(`is ${copied} for ${given}`, () => {
      const head = (host: string) => `GET / HTTP/1.1\r\nA: b\r\nHost: ${host}\r\nc: d\r\n`;
      assert.equal(withShadowHost(head(given)), head(copied));
    });
  }
});
