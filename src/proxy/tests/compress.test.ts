/** Answers that are compressed on their way to the client. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { brotliDecompressSync, createBrotliDecompress, createGunzip, gunzipSync } from "node:zlib";
import type { Compression } from "../../model/proxy-config.ts";
import { preferred } from "../filter/compress.ts";
import { Harness } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const page = "all work and no play makes jack a dull boy\n".repeat(500);
const policy: Compression = {
  algorithms: ["br", "gzip"],
  minBytes: 1_000,
  contentTypes: ["text/html", "text/plain"],
};

async function compressing(
  harness: Harness,
  app: (request: IncomingMessage, response: ServerResponse) => void,
) {
  let connections = 0;
  const appPort = await harness.app(app, () => connections++);
  const { port, sidecar } = await harness.outbound(
    [virtualHost(["*"], [route(forward("app"), { compression: policy })])],
    {
      clusters: [cluster("app")],
      endpoints: [{ cluster: "app", endpoints: [endpoint(appPort)] }],
    },
  );
  return { port, sidecar, connections: () => connections };
}

interface Bytes {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function ask(
  port: number,
  headers: Readonly<Record<string, string>>,
  method = "GET",
): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    httpRequest({
      host: "127.0.0.1",
      port,
      method,
      agent: false,
      headers: { host: "cart", ...headers },
    })
      .on("response", (response) => {
        const parts: Buffer[] = [];
        response.on("data", (bytes: Buffer) => parts.push(bytes));
        response.on("error", reject);
        response.on("end", () => {
          const status = response.statusCode ?? 0;
          resolve({ status, headers: response.headers, body: Buffer.concat(parts) });
        });
      })
      .on("error", reject)
      .end();
  });
}

const html = { "content-type": "text/html; charset=utf-8" };

describe("compression", () => {
  test("is what the client likes best, and the same body once undone", async () => {
    await using harness = new Harness();
    const { port, connections } = await compressing(harness, (_, res) =>
      res.writeHead(200, { ...html, etag: '"v1"', "accept-ranges": "bytes" }).end(page),
    );
    const gzip = await ask(port, { "accept-encoding": "gzip" });
    assert.equal(gunzipSync(gzip.body).toString(), page);
    assert.deepEqual(
      [
        "content-encoding",
        "vary",
        "etag",
        "content-length",
        "accept-ranges",
        "transfer-encoding",
      ].map((name) => gzip.headers[name]),
      ["gzip", "Accept-Encoding", 'W/"v1"', undefined, undefined, "chunked"],
    );
    assert(gzip.body.length < page.length / 10);
    const brotli = await ask(port, { "accept-encoding": "gzip;q=0.5, br" });
    assert.equal(brotli.headers["content-encoding"], "br");
    assert.equal(brotliDecompressSync(brotli.body).toString(), page);
    const plain = await ask(port, {});
    assert.deepEqual(
      [plain.body.toString() === page, plain.headers.vary, plain.headers["content-encoding"]],
      [true, "Accept-Encoding", undefined],
    );
    assert.equal(plain.headers.etag, '"v1"');
    assert.equal(connections(), 1, "the endpoint's connection is used again");
  });

  test("leaves alone what must not or need not be compressed", async () => {
    await using harness = new Harness();
    const cases: Readonly<Record<string, (res: ServerResponse) => void>> = {
      small: (res) => res.writeHead(200, { ...html, "content-length": 5 }).end("small"),
      image: (res) => res.writeHead(200, { "content-type": "image/png" }).end(page),
      encoded: (res) => res.writeHead(200, { ...html, "content-encoding": "gzip" }).end(page),
      fixed: (res) =>
        res.writeHead(200, { ...html, "cache-control": "public, no-transform" }).end(page),
      part: (res) => res.writeHead(206, { ...html, "content-range": "bytes 0-9/10" }).end(page),
      error: (res) => res.writeHead(500, html).end(page),
      untyped: (res) => res.writeHead(200).end(page),
      events: (res) => res.writeHead(200, { "content-type": "text/event-stream" }).end(page),
    };
    const { port } = await compressing(harness, (req, res) => {
      cases[req.headers["x-case"] as string]?.(res);
    });
    for (const [name, answer] of Object.entries(cases)) {
      assert(answer !== undefined);
      const { body } = await ask(port, { "accept-encoding": "gzip", "x-case": name });
      assert.equal(body.toString(), name === "small" ? "small" : page, name);
    }
  });

  test("says of HEAD what GET would be answered", async () => {
    await using harness = new Harness();
    const { port } = await compressing(harness, (req, res) => {
      const type = String(req.headers["x-case"] ?? "text/html");
      const fields = { "content-type": type, "content-length": page.length, etag: '"v1"' };
      res.writeHead(200, fields).end(page);
    });
    const names = ["content-length", "content-encoding", "vary", "etag"];
    for (const [fields, expected] of [
      [{ "accept-encoding": "gzip" }, [undefined, "gzip", "Accept-Encoding", 'W/"v1"']],
      [{}, [String(page.length), undefined, "Accept-Encoding", '"v1"']],
      [
        { "accept-encoding": "gzip", "x-case": "image/png" },
        [String(page.length), undefined, undefined, '"v1"'],
      ],
    ] as const) {
      const got = await ask(port, fields);
      const head = await ask(port, fields, "HEAD");
      assert.deepEqual(
        names.map((name) => head.headers[name]),
        expected,
      );
      assert.deepEqual(
        names.map((name) => got.headers[name]),
        expected,
      );
      assert.equal(head.body.length, 0);
    }
  });

  test("says of 304 what a cache must know to find the answer it has", async () => {
    await using harness = new Harness();
    const { port } = await compressing(harness, (req, res) => {
      const type = req.headers["x-case"];
      if (type !== undefined) res.setHeader("content-type", type);
      res.writeHead(304, { etag: '"v1"' }).end();
    });
    for (const [fields, expected] of [
      [{ "accept-encoding": "gzip", "if-none-match": 'W/"v1"' }, ["Accept-Encoding", 'W/"v1"']],
      [{ "if-none-match": 'W/"v1"' }, ["Accept-Encoding", 'W/"v1"']],
      [{ "if-none-match": '"v1"' }, ["Accept-Encoding", '"v1"']],
      [{ "accept-encoding": "gzip", "x-case": "image/png" }, [undefined, '"v1"']],
    ] as const) {
      const { status, headers } = await ask(port, fields);
      assert.deepEqual([status, headers.vary, headers.etag], [304, ...expected]);
    }
  });

  test("takes many megabytes in chunks, at the client's pace", async () => {
    await using harness = new Harness();
    const chunk = Buffer.alloc(64 * 1024, "0123456789 and some more\n");
    const chunks = 300;
    let sent = 0;
    let isHeldUp = false;
    const { port, sidecar } = await compressing(harness, (_, res) => {
      res.writeHead(200, html);
      const pump = () => {
        while (sent < chunks) {
          // Bytes that do not shrink: the client's buffers fill up.
          sent++;
          if (!res.write(randomized(chunk, sent))) {
            isHeldUp = true;
            res.once("drain", pump);
            return;
          }
        }
        res.end();
      };
      pump();
    });
    const client = connect({ port, host: "127.0.0.1" });
    harness.atEnd(() => client.destroy());
    client.pause();
    client.write(
      "GET / HTTP/1.1\r\nhost: cart\r\nconnection: close\r\naccept-encoding: gzip\r\n\r\n",
    );
    const { overload } = sidecar.runtime.environment;
    let before = -1;
    while (!isHeldUp || before !== sent) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert(sent < chunks, "the application was never held up");
    overload.measure();
    assert(overload.heldBytes < 1 << 20, `${overload.heldBytes} bytes are held`);
    client.resume();
    await once(client, "end");
    assert.equal(sent, chunks);
  });

  test("does not hold back what was said until more is", async () => {
    await using harness = new Harness();
    let more = () => {};
    const { port } = await compressing(harness, (_, res) => {
      res.writeHead(200, html).write("first\n");
      more = () => res.end("last\n");
    });
    for (const [encoding, undo] of [
      ["gzip", createGunzip],
      ["br", createBrotliDecompress],
    ] as const) {
      const heard: string[] = [];
      const answer = httpRequest({
        host: "127.0.0.1",
        port,
        agent: false,
        headers: { host: "cart", "accept-encoding": encoding },
      }).on("response", (response) => {
        const plain = response.pipe(undo());
        plain.on("data", (bytes: Buffer) => {
          heard.push(bytes.toString());
          more(); // the application says nothing more before the client has heard this
        });
        plain.on("end", () => answer.emit("heard"));
      });
      answer.end();
      await once(answer, "heard");
      assert.equal(heard.join(""), "first\nlast\n");
    }
  });

  test("ends with its client, and breaks where the application does", async () => {
    await using harness = new Harness();
    let closed = 0;
    const { port, sidecar } = await compressing(harness, (req, res) => {
      res.on("close", () => closed++);
      res.writeHead(200, { ...html, "content-length": 1_000_000 }).write(page);
      if (req.headers["x-case"] === "breaks") setTimeout(() => req.socket.resetAndDestroy(), 20);
    });
    await assert.rejects(ask(port, { "accept-encoding": "gzip", "x-case": "breaks" }));
    const client = await harness.raw(port);
    client.send("GET / HTTP/1.1\r\nhost: cart\r\naccept-encoding: gzip\r\n\r\n");
    await client.until((text) => text.includes("\r\n\r\n"));
    client.socket.resetAndDestroy();
    while (closed < 2) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal(sidecar.runtime.environment.overload.activeRequests, 0);
  });

  test("goes with HTTP/2 on either side", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) => {
      stream.respond({ ":status": 200, "content-type": "text/plain" });
      stream.end(page);
    });
    const one = await harness.app((_, res) => {
      res.writeHead(200, html);
      res.write(page);
      res.end(page);
    });
    const { port } = await harness.outbound(
      [
        virtualHost(["two"], [route(forward("two"), { compression: policy })]),
        virtualHost(["*"], [route(forward("one"), { compression: policy })]),
      ],
      {
        clusters: [cluster("one"), cluster("two", { protocol: "http/2" })],
        endpoints: [
          { cluster: "one", endpoints: [endpoint(one)] },
          { cluster: "two", endpoints: [endpoint(app.port)] },
        ],
      },
    );
    const client = new Http2Client(harness, port);
    for (const [authority, expected] of [
      ["one", page + page],
      ["two", page],
    ] as const) {
      const raw = await new Promise<Buffer>((resolve, reject) => {
        const parts: Buffer[] = [];
        client.session
          .request({ ":authority": authority, ":path": "/", "accept-encoding": "gzip" })
          .on("data", (bytes: Buffer) => parts.push(bytes))
          .on("end", () => resolve(Buffer.concat(parts)))
          .on("error", reject);
      });
      assert.equal(gunzipSync(raw).toString(), expected, authority);
    }
    const { headers, body } = await ask(port, { host: "two", "accept-encoding": "br" });
    assert.deepEqual(
      [headers["content-encoding"], brotliDecompressSync(body).toString()],
      ["br", page],
    );
  });
});

describe("the encoding that a client likes best", () => {
  test("is by its weights, and of equals the first of ours", () => {
    for (const [accepts, wanted] of [
      [undefined, undefined],
      ["", undefined],
      ["gzip", "gzip"],
      ["gzip, br", "br"],
      ["br;q=0.2, gzip;q=0.8", "gzip"],
      ["*", "br"],
      ["br;q=0, *", "gzip"],
      ["gzip;q=0", undefined],
      ["identity, gzip;q=0.5", undefined],
      ["GZIP ; q=1.0", "gzip"],
      ["deflate, zstd", undefined],
      ["gzip;q=nonsense", undefined],
    ] as const) {
      assert.equal(preferred(accepts, ["br", "gzip"]), wanted, String(accepts));
    }
  });
});

/** `chunk` with numbers in it that do not repeat. */
function randomized(chunk: Buffer, seed: number): Buffer {
  const copy = Buffer.from(chunk);
  let state = seed;
  for (let i = 0; i < copy.length; i += 4) {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    copy.writeUInt32LE(state, i);
  }
  return copy;
}
