import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { defaultProxyLimits, type ProxyLimits } from "./environment.ts";
import { Harness, metric, request } from "./testing/harness.ts";
import { Http2Client } from "./testing/http2.ts";
import { cluster, forward, inbound, route, virtualHost } from "./testing/mesh.ts";
import { createMeshCa, type MeshCa } from "./testing/mesh-ca.ts";

/** Resolves with the answer's head; its body is not read. */
function unread(port: number, path = "/"): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpRequest({ host: "127.0.0.1", port, path, agent: false, headers: { host: "cart" } })
      .on("response", resolve)
      .on("error", reject)
      .end();
  });
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(2);
}

describe("a sidecar that has taken on as much as it may", () => {
  test("refuses the next request at once, in Envoy's words, and takes one again when one has ended", async () => {
    await using harness = new Harness();
    const waiting: (() => void)[] = [];
    const app = await harness.app((_, res) => waiting.push(() => res.end("ok")));
    const { port, sidecar } = await harness.toPorts([app], { limits: { maxRequests: 1 } });
    const first = request(port);
    await until(() => waiting.length === 1);
    const refused = await request(port, { method: "POST" }, "a body");
    assert.deepEqual(
      [refused.status, refused.body, refused.headers["x-envoy-local-overloaded"]],
      [503, "overloaded", "true"],
    );
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "OM" }), 1);
    assert.equal(sidecar.runtime.environment.overload.refusedRequestsTotal, 1);
    waiting.pop()?.();
    assert.equal((await first).status, 200);
    const next = request(port);
    await until(() => waiting.length === 1);
    waiting.pop()?.();
    assert.equal((await next).status, 200);
    assert.equal(sidecar.runtime.environment.overload.activeRequests, 0);
  });

  test("tells a call of gRPC that it is unavailable", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end());
    const { port } = await harness.toPorts([app], { limits: { maxRequests: 0 } });
    const client = await new Http2Client(harness, port);
    const answer = await client.request({
      ":method": "POST",
      ":path": "/shop.Cart/Get",
      "content-type": "application/grpc",
      te: "trailers",
    });
    assert.deepEqual([answer.headers[":status"], answer.headers["grpc-status"]], [200, "14"]);
  });

  test("counts an upgraded connection for as long as it is open", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => {
      socket.once("data", (bytes: Buffer) => {
        const key = /sec-websocket-key: (\S+)/i.exec(bytes.toString())?.[1] ?? "";
        const accept = createHash("sha1")
          .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest("base64");
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
        );
      });
      socket.on("end", () => socket.end());
    });
    const { port, sidecar } = await harness.toPorts([app], { limits: { maxRequests: 1 } });
    const client = await harness.raw(port);
    client.send(
      "GET / HTTP/1.1\r\nhost: cart\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n",
    );
    assert.match(await client.until((text) => text.includes("\r\n\r\n")), /^HTTP\/1\.1 101/);
    assert.equal((await request(port)).status, 503);
    client.socket.destroy();
    await until(() => sidecar.runtime.environment.overload.activeRequests === 0);
  });
});

describe("the limits of a sidecar", () => {
  test("are the README's", () => {
    const text = readFileSync(new URL("README.md", import.meta.url), "utf8");
    for (const [name, value] of Object.entries(defaultProxyLimits)) {
      const row = new RegExp(`^\\| .*\`${name}\`.* \\| (\\d+) \\|`, "m").exec(text);
      if (row !== null) assert.equal(Number(row[1]), value, name);
      else assert(!name.startsWith("max"), `${name} is not in the README`);
    }
  });
});

describe("TLS handshakes", () => {
  const identity = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`;

  /** A sidecar with places for two, and clients that begin a handshake and say no more. */
  async function twoPlaces(harness: Harness, ca: MeshCa, limits: Partial<ProxyLimits> = {}) {
    const app = await harness.app((_, res) => res.end("ok"));
    const sidecar = await harness.sidecar(
      {
        destination: () => ({ address: "127.0.0.1", port: app }),
        limits: { maxHandshakes: 2, ...limits },
      },
      inbound(app),
      { secrets: await ca.secrets(identity("cart")) },
    );
    const port = sidecar.portOf("virtualInbound") ?? 0;
    const begin = async (): Promise<Socket> => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("error", () => {});
      harness.atEnd(() => socket.destroy());
      await once(socket, "connect");
      socket.write(Buffer.from([0x16, 3, 1]));
      return socket;
    };
    return { port, begin, sidecar };
  }

  test("are limited in number: the next connection is closed, and one that ends makes room", async () => {
    await using harness = new Harness();
    const { port, begin } = await twoPlaces(harness, await createMeshCa(), {
      handshakeMs: 60_000,
    });
    const [first] = [await begin(), await begin()];
    const refused = await begin();
    await once(refused, "close");
    assert.equal((await request(port, { headers: { host: "cart" } })).status, 200);
    first.destroy();
    await once(first, "close");
    const next = await begin();
    assert.equal(await Promise.race([once(next, "close"), sleep(100, "open")]), "open");
  });

  test("of clients that fall silent keep a good client out for no longer than a second", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const { port, begin, sidecar } = await twoPlaces(harness, ca);
    const silent = [await begin(), await begin()];
    const { overload } = sidecar.runtime.environment;
    await until(() => overload.handshakes === 2);
    const [own, { roots }] = await ca.secrets(identity("web"));
    const settings = { port, host: "127.0.0.1", key: own.key, cert: own.chain, ca: roots };
    const startedAt = performance.now();
    let isIn = false;
    while (!isIn && performance.now() - startedAt < 10_000) {
      const good = connectTls({ ...settings, checkServerIdentity: () => undefined });
      good.on("error", () => {});
      harness.atEnd(() => good.destroy());
      isIn = await Promise.race([
        once(good, "secureConnect").then(() => true),
        once(good, "close").then(() => false),
      ]).catch(() => false);
    }
    assert.ok(isIn, "refused for ten seconds");
    await Promise.race(silent.map((socket) => once(socket, "close")));
    await until(() => overload.handshakes === 1); // of the silent two one is left
  });
});

describe("bytes that nobody takes", () => {
  test("beyond the ceiling stop new work; those who hold them are closed, and all is well again", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => {
      if (req.url === "/small") res.end("ok");
      else res.end(Buffer.alloc(16 * 2 ** 20));
    });
    let now = 0;
    const limits = { maxHeldBytes: 2 ** 20, shedAfterMs: 2_000 };
    const { port, sidecar } = await harness.toPorts([app], { limits, now: () => now });
    const { overload } = sidecar.runtime.environment;
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    harness.atEnd(() => kept.destroy());
    assert.equal((await request(port, { path: "/small", agent: kept })).status, 200);
    const readers: IncomingMessage[] = [];
    while (!overload.isFull) {
      const reader = await unread(port);
      reader.on("error", () => {});
      reader.pause();
      readers.push(reader);
      await sleep(20);
      overload.measure();
      assert(readers.length < 100, "nothing is held");
    }
    assert.equal((await request(port, { path: "/small", agent: kept })).status, 503);
    await assert.rejects(request(port, { path: "/small" }), /ECONNRESET|socket hang up/);
    now = limits.shedAfterMs;
    overload.measure();
    assert(!overload.isFull);
    assert(overload.shedTotal > 0 && overload.shedTotal < readers.length, `${overload.shedTotal}`);
    assert.equal((await request(port, { path: "/small" })).status, 200);
    for (const reader of readers) reader.destroy();
  });

  test("of bodies that wait for their turn count, too", async () => {
    await using harness = new Harness();
    const fault = { delay: { percent: 100, fixedMs: 60_000 } };
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"), { fault })])],
      { clusters: [cluster("app")] },
    );
    const { overload } = sidecar.runtime.environment;
    const client = await harness.raw(port);
    client.send(
      `POST / HTTP/1.1\r\nhost: cart\r\ncontent-length: 900000\r\n\r\n${"x".repeat(9_000)}`,
    );
    await until(() => {
      overload.measure();
      return overload.heldBytes >= 9_000;
    });
    client.socket.destroy();
    await until(() => {
      overload.measure();
      return overload.heldBytes === 0;
    });
  });
});
