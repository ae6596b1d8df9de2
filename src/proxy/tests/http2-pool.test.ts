/** Connections of HTTP/2 between a sidecar and its endpoints: how many there are, and what a DestinationRule says of them. */

import assert from "node:assert/strict";
import type { ServerHttp2Stream } from "node:http2";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../../model/proxy-config.ts";
import { Harness, request } from "../testing/harness.ts";
import { echo, Http2Client, http2App, toHttp2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

function toApp(harness: Harness, port: number, more: Partial<Cluster>) {
  return harness.outbound([virtualHost(["*"], [route(forward("app", { timeoutMs: 10_000 }))])], {
    clusters: [cluster("app", { protocol: "http/2", ...more })],
    endpoints: [{ cluster: "app", endpoints: [endpoint(port)] }],
  });
}

const until = async (isSo: () => boolean) => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
};

describe("maxConcurrentStreams", () => {
  async function held(harness: Harness, more: Partial<Cluster>) {
    const streams: ServerHttp2Stream[] = [];
    const app = await http2App(harness, (stream) => streams.push(stream));
    const { port, sidecar } = await toApp(harness, app.port, more);
    const finish = () => {
      for (const stream of streams.splice(0)) {
        stream.respond({ ":status": 200 });
        stream.end();
      }
    };
    return { app, port, sidecar, streams, finish };
  }

  test("opens another connection for what one may not carry", async () => {
    await using harness = new Harness();
    const { app, port, streams, finish } = await held(harness, { maxConcurrentStreams: 2 });
    const all = Array.from({ length: 5 }, () => request(port));
    await until(() => streams.length === 5);
    assert.equal(app.sessions.length, 3);
    finish();
    for (const answer of all) assert.equal((await answer).status, 200);
  });

  test("lets requests wait where there may be no other connection", async () => {
    await using harness = new Harness();
    const { app, port, sidecar, streams, finish } = await held(harness, {
      maxConcurrentStreams: 2,
      circuitBreakers: { maxConnections: 1 },
    });
    const all = Array.from({ length: 3 }, () => request(port));
    const runtime = sidecar.tables.clusters.get("app");
    await until(() => streams.length === 2 && runtime?.load.pendingRequests === 1);
    finish();
    await until(() => streams.length === 1);
    finish();
    for (const answer of all) assert.equal((await answer).status, 200);
    assert.equal(app.sessions.length, 1);
  });
});

describe("requests that come at once, before there is a connection of HTTP/2", () => {
  async function atOnce(harness: Harness, count: number, more: Partial<Cluster>) {
    const streams: ServerHttp2Stream[] = [];
    const app = await http2App(harness, (stream) => streams.push(stream));
    const { port, sidecar } = await toApp(harness, app.port, more);
    const client = new Http2Client(harness, port);
    const answers = Array.from({ length: count }, () => client.request({}));
    const runtime = sidecar.tables.clusters.get("app");
    await until(() => (runtime?.connectionsTotal ?? 0) > 0);
    return { answers, streams, connections: runtime?.connections };
  }

  test("are given connections enough for all, where each carries one", async () => {
    await using harness = new Harness();
    const { answers, streams, connections } = await atOnce(harness, 20, {
      maxRequestsPerConnection: 1,
    });
    assert.equal(connections, 20); // not one after the other
    await until(() => streams.length === 20);
    for (const stream of streams) stream.respond({ ":status": 204 }, { endStream: true });
    for (const answer of answers) assert.equal((await answer).headers[":status"], 204);
  });

  test("wait for it no more at a time than may", async () => {
    await using harness = new Harness();
    const { answers, streams } = await atOnce(harness, 20, {
      circuitBreakers: { maxPendingRequests: 5 },
    });
    await until(() => streams.length === 5);
    for (const stream of streams) stream.respond({ ":status": 204 }, { endStream: true });
    const told = (await Promise.all(answers)).map(({ headers }) => headers[":status"]);
    assert.deepEqual(
      [204, 503].map((status) => told.filter((one) => one === status).length),
      [5, 15],
    );
  });
});

describe("http2KeepAlive", () => {
  test("gives up a connection whose other end has fallen silent; the next request has a fresh one", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) => {
      stream.respond({ ":status": 200 });
      stream.end();
    });
    const between: Socket[] = [];
    const relay = await harness.tcpApp((socket) => {
      between.push(socket);
      const onward = connect(app.port, "127.0.0.1");
      socket.on("close", () => onward.destroy());
      onward.pipe(socket).pipe(onward);
    });
    // Long enough for whoever stands still beside it.
    const http2KeepAlive = { intervalMs: 10, timeoutMs: 3_000 };
    const { port } = await toApp(harness, relay, { http2KeepAlive });
    assert.equal((await request(port)).status, 200);
    between[0]?.unpipe().pause();
    const lost = await request(port, { method: "POST" });
    assert.deepEqual([lost.status, /connection termination$/.test(lost.body)], [503, true]);
    assert.equal((await request(port)).status, 200);
    assert.equal(app.sessions.length, 2);
  });

  test("of a month does not ask all the time", async () => {
    await using harness = new Harness();
    let pings = 0;
    const app = await http2App(harness, (stream) => {
      stream.respond({ ":status": 200 });
      stream.end();
    });
    const month = 30 * 24 * 3_600_000;
    const { port } = await toApp(harness, app.port, {
      http2KeepAlive: { intervalMs: month, timeoutMs: month },
    });
    assert.equal((await request(port)).status, 200);
    app.sessions[0]?.on("ping", () => pings++);
    for (let i = 0; i < 20; i++) assert.equal((await request(port)).status, 200);
    assert.deepEqual([pings, app.sessions.length], [0, 1]);
  });

  test("keeps a connection that answers", async () => {
    await using harness = new Harness();
    let pings = 0;
    const app = await http2App(harness, (stream) => {
      stream.respond({ ":status": 200 });
      stream.end();
    });
    const http2KeepAlive = { intervalMs: 10, timeoutMs: 60_000 };
    const { port } = await toApp(harness, app.port, { http2KeepAlive });
    assert.equal((await request(port)).status, 200);
    app.sessions[0]?.on("ping", () => pings++);
    await until(() => pings > 3);
    assert.equal((await request(port)).status, 200);
    assert.equal(app.sessions.length, 1);
  });
});

describe("a cluster that is spoken to as the client speaks", () => {
  test("has its limits in HTTP/2, too", async () => {
    await using harness = new Harness();
    const streams: ServerHttp2Stream[] = [];
    const app = await http2App(harness, (stream) => streams.push(stream));
    const { port } = await toApp(harness, app.port, {
      protocol: "downstream",
      maxConcurrentStreams: 1,
    });
    const client = new Http2Client(harness, port);
    const answers = [client.request({}), client.request({})];
    await until(() => streams.length === 2);
    assert.equal(app.sessions.length, 2);
    for (const stream of streams) stream.respond({ ":status": 204 }, { endStream: true });
    for (const answer of answers) assert.equal((await answer).headers[":status"], 204);
  });
});

describe("a client of HTTP/2", () => {
  test("shares one connection to an application of HTTP/2 between many requests", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo);
    const { port } = await toHttp2App(harness, app.port, "http/2");
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
    const { port, sidecar } = await toHttp2App(harness, app.port, "http/2");
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
    const { port } = await toHttp2App(harness, app.port, "http/2");
    const client = new Http2Client(harness, port);
    const first = client.request({});
    while (held.length < 1) await new Promise(setImmediate);
    const others = Array.from({ length: 9 }, () => client.request({}));
    while (held.length < 10) await new Promise(setImmediate);
    assert.equal(app.sessions.length, 3);
    for (const stream of held) stream.respond({}, { endStream: true });
    await Promise.all([first, ...others]);
  });
});

describe("an endpoint of HTTP/2", () => {
  test("that takes no streams at all is not left with a connection for each request", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, () => {}, { maxConcurrentStreams: 0 });
    const { port, sidecar } = await toApp(harness, app.port, {});
    const runtime = sidecar.tables.clusters.get("app");
    for (let i = 0; i < 5; i++) assert.equal((await request(port)).status, 503);
    await until(() => runtime?.connections === 0);
  });

  test("that takes one stream at a time keeps its connection from one to the next", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo, { maxConcurrentStreams: 1 });
    const { port } = await toApp(harness, app.port, {});
    for (let i = 0; i < 3; i++) assert.equal((await request(port)).status, 200);
    assert.equal(app.sessions.length, 1);
  });
});
