import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster, RouteAction } from "../model/proxy-config.ts";
import type { Sidecar } from "./sidecar.ts";
import { Harness, metric, request } from "./testing/harness.ts";
import { type Http2App, Http2Client, http2App } from "./testing/http2.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  labels,
  outbound,
  route,
  type TestSidecarOptions,
  upstreamTls,
  virtualHost,
} from "./testing/mesh.ts";
import { createMeshCa } from "./testing/mesh-ca.ts";
import { RawHttp2Client } from "./testing/raw-http2.ts";

type Forward = Partial<Extract<RouteAction, { kind: "forward" }>>;

/** An outbound sidecar in front of one cluster that is spoken to in `protocol`. */
function toApp(
  harness: Harness,
  port: number,
  protocol: Cluster["protocol"],
  options: Partial<TestSidecarOptions> & { readonly action?: Forward } = {},
): Promise<{ readonly sidecar: Sidecar; readonly port: number }> {
  return harness.outbound(
    [virtualHost(["*"], [route(forward("app", options.action))])],
    {
      clusters: [cluster("app", protocol === undefined ? {} : { protocol })],
      endpoints: [{ cluster: "app", endpoints: [endpoint(port)] }],
    },
    options,
  );
}

const echo = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
  const parts: Buffer[] = [];
  stream.on("data", (bytes: Buffer) => parts.push(bytes));
  stream.on("end", () => {
    stream.respond({ "x-path": headers[":path"], "x-seen": JSON.stringify(headers) });
    stream.end(Buffer.concat(parts));
  });
};

describe("a client of HTTP/2", () => {
  test("that leaves takes its requests along, whoever does not answer them", async () => {
    await using harness = new Harness();
    const gone = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const app = await harness.tcpApp((socket) => {
      socket.on("data", () => asked.resolve());
      socket.on("end", () => gone.resolve());
    });
    const { port, sidecar } = await toApp(harness, app, undefined);
    const client = await RawHttp2Client.connect(harness, port);
    void client.request();
    await asked.promise;
    client.end();
    await gone.promise;
    assert.equal(sidecar.tables.clusters.get("app")?.load.activeRequests, 0);
  });

  test("is told that a tunnel is not to be had, as one of HTTP/1.1 is", async () => {
    await using harness = new Harness();
    const { port } = await toApp(harness, await harness.deadPort(), undefined);
    const { headers } = await new Http2Client(harness, port).request({
      ":method": "CONNECT",
      ":authority": "cart:80",
      ":path": undefined,
      ":scheme": undefined,
    });
    assert.equal(headers[":status"], 405);
  });

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
    const { port } = await toApp(harness, app, undefined);
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

  test("shares one connection to an application of HTTP/2 between many requests", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo);
    const { port } = await toApp(harness, app.port, "http/2");
    const clients = [new Http2Client(harness, port), new Http2Client(harness, port)];
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        clients[i % 2]?.request({ ":method": "POST", ":path": `/${i}` }, `body ${i}`),
      ),
    );
    assert.deepEqual(
      answers.map((answer) => [answer?.headers["x-path"], answer?.body]),
      answers.map((_, i) => [`/${i}`, `body ${i}`]),
    );
    assert.equal(app.sessions.length, 1);
  });

  test("gets a fresh connection where the old one has carried as much as it may", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo);
    const { port, sidecar } = await toApp(harness, app.port, "http/2");
    const runtime = sidecar.tables.clusters.get("app");
    assert(runtime !== undefined);
    runtime.config = { ...runtime.config, maxRequestsPerConnection: 2 };
    const client = new Http2Client(harness, port);
    for (let i = 0; i < 5; i++) assert.equal((await client.request({})).headers[":status"], 200);
    assert.equal(app.sessions.length, 3);
    while (runtime.connections > 1) await delay(1);
  });

  test("gets as many connections as the application's limit on streams asks for", async () => {
    await using harness = new Harness();
    const held: ServerHttp2Stream[] = [];
    const app = await http2App(harness, (stream) => held.push(stream), { maxConcurrentStreams: 4 });
    const { port } = await toApp(harness, app.port, "http/2");
    const client = new Http2Client(harness, port);
    const first = client.request({});
    while (held.length < 1) await new Promise(setImmediate);
    const others = Array.from({ length: 9 }, () => client.request({}));
    while (held.length < 10) await new Promise(setImmediate);
    assert.equal(app.sessions.length, 3);
    for (const stream of held) stream.respond({}, { endStream: true });
    await Promise.all([first, ...others]);
  });

  test("gets and sends bodies larger than any window, though both ends dawdle", async () => {
    await using harness = new Harness();
    const size = 6_000_000;
    const app = await http2App(harness, (stream) => {
      let received = 0;
      stream.on("data", (bytes: Buffer) => {
        received += bytes.length;
        stream.pause();
        setImmediate(() => stream.resume());
      });
      stream.on("end", () => {
        stream.respond({ "x-received": received });
        stream.end(Buffer.alloc(size, 120));
      });
    });
    const { port } = await toApp(harness, app.port, "http/2");
    const client = new Http2Client(harness, port);
    const answer = await client.request({ ":method": "POST" }, Buffer.alloc(size, 121));
    assert.equal(answer.headers["x-received"], String(size));
    assert.equal(answer.body.length, size);
  });

  test("that reads nothing makes the sidecar hold a window of the answer, and no more", async () => {
    await using harness = new Harness();
    let written = 0;
    const app = await http2App(harness, (stream) => {
      stream.respond({});
      const more = () => {
        while (stream.writable && stream.write(Buffer.alloc(16_384))) written += 16_384;
        stream.once("drain", more);
      };
      more();
    });
    const { port, sidecar } = await toApp(harness, app.port, "http/2");
    const client = new Http2Client(harness, port);
    const stream = client.session.request({ ":authority": "cart", ":path": "/" });
    stream.pause();
    await once(stream, "response");
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert(written < 2_000_000, `${written} bytes were taken from the application`);
    stream.close(constants.NGHTTP2_CANCEL);
    assert.equal(sidecar.runtime.connections.size, 1);
  });

  test("that gives up makes the application's stream end, too", async () => {
    await using harness = new Harness();
    const reset = Promise.withResolvers<number>();
    const app = await http2App(harness, (stream) => {
      stream.on("close", () => reset.resolve(stream.rstCode ?? 0));
      stream.respond({});
      stream.write("begun");
    });
    const { port, sidecar } = await toApp(harness, app.port, "http/2");
    const stream = new Http2Client(harness, port).session.request({ ":authority": "cart" });
    await once(stream, "data");
    stream.close(constants.NGHTTP2_CANCEL);
    assert.equal(await reset.promise, constants.NGHTTP2_CANCEL);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "DC" }), 1);
  });

  test("learns that an answer broke off", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) => {
      stream.respond({});
      stream.write("begun", () => stream.destroy(new Error("broken")));
    });
    const { port } = await toApp(harness, app.port, "http/2");
    await assert.rejects(new Http2Client(harness, port).request({}));
  });

  test("keeps its other streams when one is refused by the sidecar", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo);
    const { port } = await toApp(harness, app.port, "http/2");
    const client = new Http2Client(harness, port);
    const [, good] = await Promise.allSettled([
      client.request({
        ":method": "CONNECT",
        ":authority": "a:1",
        ":path": undefined,
        ":scheme": undefined,
      }),
      client.request({ ":method": "POST" }, "fine"),
    ]);
    assert.equal(good?.status, "fulfilled");
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
    const { port } = await toApp(harness, app.port, "http/2");
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
    const { port } = await toApp(harness, app.port, "http/2");
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
    const { port } = await toApp(harness, app.port, "http/2");
    const raw = await harness.raw(port);
    const ask = "GET / HTTP/1.1\r\nHost: cart\r\n\r\n";
    raw.send(ask + ask);
    const text = await raw.until((received) => received.split("204 No Content").length === 3);
    assert(!text.includes("chunked"));
  });
});

describe("an answer of HTTP/2 without a body whose end comes later", () => {
  for (const [name, method, status] of [
    ["to HEAD", "HEAD", "88"],
    ["of status 204", "GET", "89"],
    ["of status 304", "GET", "8b"],
  ] as const) {
    test(`${name} puts nothing behind its head in HTTP/1.1`, async () => {
      await using harness = new Harness();
      const answer = [frame(4, 0, 0, ""), frame(1, 4, 1, status), frame(0, 1, 1, "")];
      const app = await harness.tcpApp((socket) => {
        socket.once("data", () => socket.write(Buffer.concat(answer)));
      });
      const { port } = await toApp(harness, app, "http/2");
      const raw = await harness.raw(port);
      raw.send(`${method} / HTTP/1.1\r\nHost: cart\r\nConnection: close\r\n\r\n`);
      assert.match(await raw.untilEnd(), /^HTTP\/1\.1 \d+ (?:(?!chunked)[^\r]+\r\n)+\r\n$/);
    });
  }
});

describe("a sidecar that is taken over", () => {
  test("answers the request that crosses its announcement, also where nothing else was under way", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const { port, sidecar } = await harness.toPorts([app]);
    const client = new Http2Client(harness, port);
    assert.equal((await client.request({})).body, "ok");
    const stopped = new AbortController();
    const retired = sidecar.retire(stopped.signal);
    assert.equal((await client.request({})).body, "ok"); // written before GOAWAY can have been read
    await retired; // and then it ends by itself
  });

  test("takes no more streams from a client that has read its announcement, though others are under way", async () => {
    await using harness = new Harness();
    const held: (() => void)[] = [];
    const app = await harness.app((_, res) => held.push(() => res.end()));
    const { port, sidecar } = await harness.toPorts([app]);
    const { socket } = await harness.raw(port);
    const frames = readFrames(socket);
    const get = (stream: number) => frame(1, 5, stream, "8286844104" + "63617274");
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    socket.write(Buffer.concat([frame(4, 0, 0, ""), frame(4, 1, 0, ""), get(1)]));
    while (held.length === 0) await delay(1);
    const retired = sidecar.retire(new AbortController().signal);
    await frames.until(({ type, flags }) => type === 6 && flags === 0);
    socket.write(
      Buffer.concat([frame(6, 1, 0, "0000000000000000"), get(3), frame(6, 0, 0, "00".repeat(8))]),
    );
    await frames.until(({ type, flags }) => type === 6 && flags === 1); // both were read
    assert.deepEqual(
      frames.seen.filter(({ type }) => type === 7).map(({ payload }) => payload.readUInt32BE(0)),
      [2 ** 31 - 1, 1],
    );
    for (const release of held) release();
    socket.end();
    await retired;
    assert.equal(held.length, 1);
  });
});

describe("an endpoint that breaks HTTP/2", () => {
  const settings = frame(4, 0, 0, "");
  const ping = frame(6, 0, 0, "0000000000000000");
  // :status 200, a field of 1 900 bytes that goes into the table, and eight thousand references to it.
  const longHead = `88400178${"7fed0d"}${"76".repeat(1_900)}${"be".repeat(8_000)}`;
  for (const [name, answer, status] of [
    ["by answering in HTTP/1.1", Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 502],
    ["by a bad index", Buffer.concat([settings, frame(1, 5, 1, "ff7f")]), 502],
    ["by pushing", Buffer.concat([settings, frame(5, 4, 1, "0000000288")]), 502],
    [
      "by a frame that is too long",
      Buffer.concat([settings, Buffer.from("ffffff000000000001", "hex")]),
      502,
    ],
    ["by an answer without status", Buffer.concat([settings, frame(1, 5, 1, "0001780179")]), 503],
    ["by resetting the stream", Buffer.concat([settings, frame(3, 0, 1, "00000002")]), 503],
    [
      "by going away without looking",
      Buffer.concat([settings, frame(7, 0, 0, "0000000000000000")]),
      503,
    ],
    [
      "by a flood of pings",
      Buffer.concat([settings, ...Array.from({ length: 3_000 }, () => ping)]),
      502,
    ],
    [
      "by an answer whose head is too large",
      Buffer.concat([settings, frame(1, 5, 1, longHead)]),
      502,
    ],
    ["by a flood of settings", Buffer.concat(Array.from({ length: 3_000 }, () => settings)), 502],
    ["by closing", undefined, 503],
  ] as const) {
    test(`${name} costs its own requests an error and nothing else`, async () => {
      await using harness = new Harness();
      const bad = await harness.tcpApp((socket) => {
        socket.once("data", () => (answer === undefined ? socket.destroy() : socket.write(answer)));
      });
      const good = await http2App(harness, echo);
      const { port } = await harness.outbound(
        [
          virtualHost(["bad"], [route(forward("bad"))]),
          virtualHost(["*"], [route(forward("good"))]),
        ],
        {
          clusters: ["bad", "good"].map((name) => cluster(name, { protocol: "http/2" })),
          endpoints: [
            { cluster: "bad", endpoints: [endpoint(bad)] },
            { cluster: "good", endpoints: [endpoint(good.port)] },
          ],
        },
      );
      const client = new Http2Client(harness, port);
      const [broken, fine] = await Promise.all([
        client.request({ ":authority": "bad" }),
        client.request({ ":method": "POST" }, "fine"),
      ]);
      assert.equal(broken.headers[":status"], status);
      assert.equal(fine.body, "fine");
    });
  }
});

describe("a client that floods", () => {
  test("with streams that it resets at once loses its connection, and nobody else's suffers", async () => {
    await using harness = new Harness();
    let opened = 0;
    const app = await http2App(harness, () => {
      opened++;
    });
    const { port } = await toApp(harness, app.port, "http/2");
    const hostile = await harness.raw(port);
    hostile.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send(frame(4, 0, 0, "").toString("latin1"));
    for (let i = 0; i < 1_000; i++) {
      // :method GET, :scheme http, :path /, :authority a; then RST_STREAM
      const pair = [frame(1, 5, 2 * i + 1, "828684410161"), frame(3, 0, 2 * i + 1, "00000008")];
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

describe("a pair of sidecars", () => {
  const identity = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`;

  async function meshPair(
    harness: Harness,
    app: Http2App,
  ): Promise<readonly [Sidecar, Sidecar, number]> {
    const ca = await createMeshCa();
    const server = await harness.sidecar(
      {
        workload: labels("shop", "cart"),
        destination: () => ({ address: "127.0.0.1", port: app.port }),
      },
      inbound(app.port, { isStrict: true, protocol: "downstream" }),
      { secrets: await ca.secrets(identity("cart")) },
    );
    const client = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      {
        ...outbound([virtualHost(["*"], [route(forward("app"))])]),
        clusters: [cluster("app", { protocol: "downstream", tls: upstreamTls(identity("cart")) })],
        endpoints: [
          {
            cluster: "app",
            endpoints: [
              endpoint(server.portOf("virtualInbound") ?? 0, {
                tls: true,
                workload: labels("shop", "cart"),
              }),
            ],
          },
        ],
      },
      { secrets: await ca.secrets(identity("web")) },
    );
    return [client, server, client.portOf("virtualOutbound") ?? 0];
  }

  test("speaks HTTP/2 between the two where the client does, and knows who calls", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo);
    const [, server, port] = await meshPair(harness, app);
    const client = new Http2Client(harness, port);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => client.request({ ":method": "POST" }, "hello")),
    );
    const seen = JSON.parse(String(answers[3]?.headers["x-seen"])) as Record<string, string>;
    assert.equal(seen["x-forwarded-client-cert"], `URI=${identity("web")}`);
    assert.equal(seen["x-heddle-peer"], undefined);
    assert.equal(app.sessions.length, 1);
    assert.equal(server.runtime.connections.acceptedTotal, 1);
    const labelled = { source_workload: "web-v1", connection_security_policy: "mutual_tls" };
    assert.equal(metric(server, "istio_requests_total", labelled), 20);
  });

  test("lets every request finish when one of the two stops", async () => {
    await using harness = new Harness();
    const held: ServerHttp2Stream[] = [];
    const app = await http2App(harness, (stream) => held.push(stream));
    const [, server, port] = await meshPair(harness, app);
    const client = new Http2Client(harness, port);
    const asked = Array.from({ length: 5 }, () => client.request({}));
    while (held.length < 5) await new Promise(setImmediate);
    const drained = server.drain();
    for (const stream of held) stream.respond({ ":status": 204 }, { endStream: true });
    for (const { headers } of await Promise.all(asked)) assert.equal(headers[":status"], 204);
    await drained;
  });
});

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
}

/** All frames that come; `until` resolves once one is as wanted. */
function readFrames(socket: Socket) {
  const seen: Frame[] = [];
  let held = Buffer.alloc(0);
  socket.on("data", (bytes: Buffer) => {
    held = Buffer.concat([held, bytes]);
    while (held.length >= 9 && held.length >= 9 + held.readUIntBE(0, 3)) {
      const end = 9 + held.readUIntBE(0, 3);
      const [type = 0, flags = 0] = held.subarray(3, 5);
      seen.push({ type, flags, payload: held.subarray(9, end) });
      held = held.subarray(end);
    }
  });
  const until = async (isWanted: (frame: Frame) => boolean) => {
    while (!seen.some(isWanted)) await delay(1);
  };
  return { seen, until };
}

function frame(type: number, flags: number, stream: number, payload: string): Buffer {
  const bytes = Buffer.from(payload, "hex");
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}
