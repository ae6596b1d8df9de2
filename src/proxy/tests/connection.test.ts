/** Connections of HTTP/1.1 from clients: requests in order, bodies, interim answers, upgrades, limits. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { Harness, request } from "../testing/harness.ts";

const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

describe("a downstream connection", () => {
  test("carries requests one after the other, and those sent ahead in order", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => res.end(`[${req.url}]`));
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\nGET /3 HTT");
    await client.until((text) => text.includes("[/2]"));
    client.send("P/1.1\r\nhost: a\r\n\r\n");
    const text = await client.until((received) => received.includes("[/3]"));
    assert.deepEqual(text.match(/\[\/\d\]/g), ["[/1]", "[/2]", "[/3]"]);
  });

  test("is closed after the answer when either side says so", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("bye"));
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    const text = await client.untilEnd();
    assert.match(text, /^HTTP\/1.1 200 OK\r\n[\s\S]*connection: close\r\n\r\nbye$/);
  });

  // what arrives, and the status that answers it; the connection is closed after each
  const refused: readonly (readonly [text: string, status: number])[] = [
    ["GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400],
    ["POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400],
    ["GET / HTTP/1.0\r\n\r\n", 426],
    ["GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", 400],
    [`GET / HTTP/1.1\r\nhost: a\r\nx: ${"a".repeat(70_000)}\r\n\r\n`, 431],
    [`GET /${"a".repeat(70_000)} HTTP/1.1\r\nhost: a\r\n\r\n`, 414],
    ["POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501],
  ];
  for (const [text, status] of refused) {
    test(`is answered ${status} and closed: ${JSON.stringify(text.slice(0, 50))}`, async () => {
      await using harness = new Harness();
      const { port } = await harness.toPorts([]);
      const client = await harness.raw(port);
      client.send(text);
      assert.match(await client.untilEnd(), new RegExp(`^HTTP/1.1 ${status} `));
    });
  }

  test("that sends its head too slowly is answered 408", async () => {
    await using harness = new Harness();
    const { port } = await harness.toPorts([], { limits: { headerTimeoutMs: 20 } });
    const client = await harness.raw(port);
    client.send("GET / HTTP/1.1\r\nhost:");
    assert.match(await client.untilEnd(), /^HTTP\/1.1 408 /);
  });

  test("beyond the most there may be is refused", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const { port } = await harness.toPorts([app], { limits: { maxConnections: 1 } });
    const first = await harness.raw(port);
    await first.send(get).until((text) => text.endsWith("ok"));
    // Reset so early that it may look like a connection that never came about: callers try elsewhere then.
    await assert.rejects(request(port), /ECONNRESET|socket hang up/);
    await first.send(get).until((text) => text.split("ok").length === 3);
  });
});

describe("a body", () => {
  test("of many megabytes goes through whole, both ways at a time, in chunks or by length", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => {
      const length = req.headers["content-length"];
      if (length !== undefined) res.setHeader("content-length", length);
      req.pipe(res);
    });
    const { port } = await harness.toPorts([app]);
    const body = Buffer.alloc(8 << 20, "0123456789abcdef").toString("latin1");
    const digest = (text: string) => createHash("sha256").update(text, "latin1").digest("hex");
    for (const headers of [
      { "content-length": String(body.length) },
      { "transfer-encoding": "chunked" },
    ]) {
      const answer = await request(port, { method: "POST", headers }, body);
      assert.equal(answer.status, 200);
      assert.equal(digest(answer.body), digest(body));
    }
  });

  test("of an answer waits for a slow reader instead of being piled up", async () => {
    await using harness = new Harness();
    const size = 64 << 20;
    let sent = 0;
    const app = await harness.app((_, res) => {
      res.setHeader("content-length", String(size));
      const chunk = Buffer.alloc(1 << 20);
      const more = () => {
        while (sent < size) {
          sent += chunk.length;
          if (!res.write(chunk)) {
            res.once("drain", more);
            return;
          }
        }
        res.end();
      };
      more();
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.socket.pause();
    client.send(get);
    // The kernels' buffers fill up, then nothing moves any more.
    let before = -1;
    while (before !== sent || sent === 0) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert(sent < size / 2, `${sent} bytes were taken without a reader`);
    client.socket.resume();
    let received = 0;
    client.socket.on("data", (bytes: Buffer) => {
      received += bytes.length;
      client.text = "";
    });
    while (received < size) await new Promise((resolve) => client.socket.once("data", resolve));
  });

  test("that ends with the connection reaches the client in chunks, and its connection lives on", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nfirst ");
        setImmediate(() => socket.end("second"));
      });
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    for (let i = 0; i < 2; i++) {
      client.text = "";
      const text = await client.send(get).until((received) => received.endsWith("0\r\n\r\n"));
      assert.match(text, /^HTTP\/1.1 200 OK\r\n[\s\S]*transfer-encoding: chunked/);
      assert.equal(
        text
          .replace(/^[\s\S]*?\r\n\r\n/, "")
          .replace(/(^|\r\n)[0-9a-f]+\r\n/g, "")
          .trim(),
        "first second",
      );
    }
  });

  test("that breaks off breaks the client's connection, too", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart");
        setTimeout(() => socket.destroy(), 20);
      });
    });
    const { port } = await harness.toPorts([app]);
    await assert.rejects(request(port), /aborted|ECONNRESET|hang up/);
  });

  test("is not expected after HEAD, 204 and 304", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => {
      if (req.url === "/204") res.writeHead(204).end();
      else if (req.url === "/304") res.writeHead(304, { etag: "x" }).end();
      else res.writeHead(200, { "content-length": "5" }).end("hello");
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    const ask = async (line: string) => {
      client.text = "";
      return client
        .send(`${line} HTTP/1.1\r\nhost: a\r\n\r\n`)
        .until((text) => text.includes("\r\n\r\n"));
    };
    assert.match(
      await ask("HEAD /"),
      /^HTTP\/1.1 200 OK\r\n[\s\S]*content-length: 5\r\n[\s\S]*\r\n\r\n$/,
    );
    assert.match(await ask("GET /204"), /^HTTP\/1.1 204 /);
    assert.match(await ask("GET /304"), /^HTTP\/1.1 304 /);
    assert.match(await ask("GET /"), /^HTTP\/1.1 200 /);
  });
});

describe("interim answers and upgrades", () => {
  test("100 Continue comes from the application, and only then the body is sent", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => {
      let text = "";
      socket.on("data", (bytes) => {
        text += bytes.toString("latin1");
        if (text.endsWith("\r\n\r\n"))
          socket.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
        if (text.endsWith("body")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    const interim = await client.until((text) => text.includes("link: x\r\n\r\n"));
    assert.match(interim, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 103 Early Hints/);
    assert.match(
      await client.send("body").until((text) => text.endsWith("ok")),
      /HTTP\/1.1 200 OK/,
    );
  });

  test("an upgraded connection is a tunnel in both directions", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => {
      socket.once("data", (head) => {
        assert.match(head.toString("latin1"), /connection: upgrade\r\n/);
        assert.match(head.toString("latin1"), /upgrade: websocket\r\n/);
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nwelcome ",
        );
        socket.on("data", (bytes) => socket.write(`<${bytes}>`));
        socket.on("end", () => socket.end("bye"));
      });
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send(
      "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    await client.until((text) => text.endsWith("welcome "));
    await client.send("hi").until((text) => text.endsWith("<hi>"));
    client.socket.end();
    assert.match(
      await client.untilEnd(),
      /^HTTP\/1.1 101 [\s\S]*upgrade: websocket[\s\S]*welcome <hi>bye$/,
    );
  });

  test("an upgrade to anything but WebSocket goes on as an ordinary request", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) =>
      res.end(`${req.headers["upgrade"]} ${req.headers["http2-settings"]}`),
    );
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send(
      "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    assert.match(
      await client.until((text) => /undefined undefined$/.test(text)),
      /^HTTP\/1.1 200 /,
    );
  });

  test("an upgrade that the application declines is an ordinary answer", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("no"));
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send(
      "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert.match(await client.until((text) => text.endsWith("no")), /^HTTP\/1.1 200 /);
  });
});

describe("fields", () => {
  test("that are hop-by-hop stay on their hop; others keep their bytes", async () => {
    await using harness = new Harness();
    let head = "";
    const app = await harness.tcpApp((socket) => {
      socket.once("data", (bytes) => {
        head = bytes.toString("latin1");
        socket.write(
          "HTTP/1.1 200 OK\r\nkeep-alive: timeout=5\r\nconnection: x-hop\r\nx-hop: 1\r\nX-Kept: \xe4\r\ncontent-length: 0\r\n\r\n",
          "latin1",
        );
      });
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send(
      "GET http://b/x?y HTTP/1.1\r\nHost: a\r\nConnection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: 3\r\nTE: trailers\r\nX-Forwarded-Client-Cert: forged\r\nX-Heddle-Peer: forged\r\nX-Kept: \xfc  x\r\n\r\n",
    );
    const answer = await client.until((text) => text.includes("\r\n\r\n"));
    assert.match(answer, /\r\nX-Kept: \xe4\r\n/);
    assert.doesNotMatch(answer, /keep-alive|x-hop/i);
    assert.match(head, /^GET \/x\?y HTTP\/1.1\r\nhost: b\r\n/);
    assert.match(head, /X-Kept: \xfc {2}x\r\n/);
    assert.doesNotMatch(head, /x-secret|keep-alive|trailers|forged/i);
  });

  test("asks about a whole server where OPTIONS names one without a path, and not about its root", async () => {
    await using harness = new Harness();
    const heads: string[] = [];
    const app = await harness.tcpApp((socket) => {
      socket.on("data", (bytes) => {
        heads.push(bytes.toString("latin1").split("\r\nx-request-id")[0] ?? "");
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
      });
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    for (const [count, target] of ["http://b", "http://b/", "http://b?c", "*"].entries()) {
      client.send(`OPTIONS ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
      await client.until((text) => text.split("200 OK").length === count + 2);
    }
    assert.deepEqual(heads, [
      "OPTIONS * HTTP/1.1\r\nhost: b",
      "OPTIONS / HTTP/1.1\r\nhost: b",
      "OPTIONS /?c HTTP/1.1\r\nhost: b",
      "OPTIONS * HTTP/1.1\r\nHost: a",
    ]);
  });
});
