/** TCP connections: limits, ends of either side, who speaks first, late and early bytes. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { on, once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { FilterChain } from "../../model/proxy-config.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness, metric } from "../testing/harness.ts";
import { cluster, endpoint, inbound, labels, upstreamTls, virtual } from "../testing/mesh.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";

/** An outbound sidecar that proxies every connection as bytes to one endpoint. */
async function tcpPair(
  harness: Harness,
  app: number,
  isMutualTls: boolean,
  limits: {
    readonly idleTimeoutMs?: number;
    readonly maxConnectionDurationMs?: number;
  } = {},
): Promise<{ readonly port: number; readonly sidecar: Awaited<ReturnType<Harness["sidecar"]>> }> {
  const ca = await createMeshCa();
  const filter: FilterChain["filter"] = {
    kind: "tcp",
    statPrefix: "db",
    clusters: [{ cluster: "db", weight: 1 }],
    ...(limits.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: limits.idleTimeoutMs }),
  };
  const { maxConnectionDurationMs: oldest } = limits;
  const life = oldest === undefined ? {} : { maxConnectionDurationMs: oldest };
  const server = await harness.sidecar(
    { workload: labels("shop", "db"), destination: () => ({ address: "127.0.0.1", port: app }) },
    inbound(app, { isTcp: true }),
    { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/db") },
  );
  const tls = { ...upstreamTls("spiffe://cluster.local/ns/shop/sa/db"), alpn: ["heddle"] };
  const sidecar = await harness.sidecar(
    { destination: () => ({ address: "10.96.0.2", port: 5432 }) },
    {
      listeners: [
        virtual("virtualOutbound", "outbound", [{ name: "db", match: {}, rbac: [], filter }]),
      ],
      clusters: [cluster("db", { ...life, ...(isMutualTls ? { tls } : {}) })],
      endpoints: [
        {
          cluster: "db",
          endpoints: [
            isMutualTls
              ? endpoint(server.portOf("virtualInbound") ?? 0, { tls: true })
              : endpoint(app),
          ],
        },
      ],
    },
    { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/web") },
  );
  return { port: sidecar.portOf("virtualOutbound") ?? 0, sidecar };
}

describe("a TCP connection with limits", () => {
  /** How many sweeps, 5 ms apart, an echoing connection lives; `talks`: it says something before each. */
  const sweeps = async (limits: Parameters<typeof tcpPair>[3], talks: boolean, most: number) => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => socket.pipe(socket));
    const { port, sidecar } = await tcpPair(harness, app, false, limits);
    const client = await harness.raw(port);
    const say = async (line: string) => {
      await client.send(line).until((text) => text.endsWith(line));
    };
    await say("first\n");
    for (let done = 0; done < most; done++) {
      if (talks) await say(`${done}\n`);
      await delay(5);
      sidecar.runtime.connections.sweep(sidecar.runtime.environment.now());
      if (sidecar.runtime.connections.size === 0) return done;
    }
    return most;
  };

  test("is closed when it has been idle for too long, and not while something moves", async () => {
    assert.ok((await sweeps({ idleTimeoutMs: 1 }, false, 100)) < 10);
    assert.equal(await sweeps({ idleTimeoutMs: 1 }, true, 20), 20);
    assert.equal(await sweeps({ idleTimeoutMs: 0 }, false, 20), 20, "0 is never");
  });

  test("is closed at its greatest age, however busy", async () => {
    const lived = await sweeps({ maxConnectionDurationMs: 100 }, true, 1_000);
    assert.ok(lived < 1_000, `${lived} sweeps`);
  });
});

for (const isMutualTls of [false, true]) {
  describe(isMutualTls ? "a TCP connection inside mutual TLS" : "a TCP connection", () => {
    test("lets the server speak first, and each side stop speaking on its own", async () => {
      await using harness = new Harness();
      const app = await harness.tcpApp((socket) => {
        let asked = "";
        socket.write("hello\n");
        socket.on("data", (bytes) => {
          asked += bytes;
        });
        socket.on("end", () => socket.end(`you asked ${asked}`));
      });
      const { port, sidecar } = await tcpPair(harness, app, isMutualTls);
      const client = await harness.raw(port);
      await client.until((text) => text === "hello\n");
      client.send("the way");
      client.socket.end();
      assert.equal(await client.untilEnd(), "hello\nyou asked the way");
      client.socket.destroy();
      while (sidecar.runtime.connections.size > 0) await new Promise(setImmediate);
      const count = (name: string) =>
        metric(sidecar, `istio_tcp_${name}_total`, { reporter: "source" });
      assert.deepEqual(
        ["connections_opened", "connections_closed", "received_bytes", "sent_bytes"].map(count),
        [1, 1, 7, 23],
      );
    });

    test("carries megabytes both ways at a time without losing or piling up any", async () => {
      await using harness = new Harness();
      const app = await harness.tcpApp((socket) => socket.pipe(socket));
      const { port } = await tcpPair(harness, app, isMutualTls);
      const client = await harness.raw(port);
      const sent = Buffer.alloc(12 << 20);
      for (let i = 0; i < sent.length; i += 4) sent.writeUInt32LE(i, i);
      const hash = createHash("sha256");
      client.socket.removeAllListeners("data");
      client.socket.on("data", (bytes: Buffer) => hash.update(bytes));
      client.socket.end(sent);
      await client.untilEnd();
      assert.equal(hash.digest("hex"), createHash("sha256").update(sent).digest("hex"));
    });

    test("keeps apart what many connections carry, little and much in turns", async () => {
      await using harness = new Harness();
      const app = await harness.tcpApp((socket) => void socket.pipe(socket));
      const { port } = await tcpPair(harness, app, isMutualTls);
      await Promise.all(
        Array.from({ length: 12 }, async (_, n) => {
          const socket = connect(port, "127.0.0.1");
          const pieces = on(socket, "data");
          const [sent, echoed] = [createHash("sha256"), createHash("sha256")];
          for (const [turn, bytes] of [10, 600_000, 3, 40_000, 900_000, 1].entries()) {
            const message = Buffer.alloc(bytes, 16 * n + turn);
            sent.update(message);
            socket.write(message);
            for (let left = bytes; left > 0; ) {
              const piece: Buffer = (await pieces.next()).value?.[0];
              echoed.update(piece);
              left -= piece.length;
            }
          }
          socket.destroy();
          assert.equal(echoed.digest("hex"), sent.digest("hex"), `connection ${n}`);
        }),
      );
    });
  });
}

describe("a server that speaks first behind a port of unknown protocol", () => {
  test("is waited for once, and never again", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => {
      socket.write("220 ready\r\n");
      socket.on("end", () => socket.end());
    });
    let now = 0;
    const sidecar = await sniffing(harness, app, () => now);
    const greeted = async (passing: () => void) => {
      const client = await harness.raw(sidecar.portOf("virtualOutbound") ?? 0);
      while (client.text !== "220 ready\r\n") {
        passing();
        await new Promise(setImmediate);
      }
      client.socket.destroy();
      while (sidecar.runtime.connections.size > 0) await new Promise(setImmediate);
    };
    await greeted(() => {
      now++;
      sidecar.runtime.environment.wheel.turn();
    });
    assert(now >= detectionTimeoutMs);
    await greeted(() => {}); // no time passes
  });
});

const detectionTimeoutMs = 500;

/** An outbound sidecar with an HTTP chain and a TCP chain on the application's very port. */
async function sniffing(
  harness: Harness,
  app: number,
  now: () => number,
): ReturnType<Harness["sidecar"]> {
  const tcp: FilterChain = {
    name: "tcp",
    match: {},
    rbac: [],
    filter: { kind: "tcp", statPrefix: "x", clusters: [{ cluster: "original", weight: 1 }] },
  };
  const http: FilterChain = {
    name: "http",
    match: { transport: "raw", applicationProtocols: ["http/1.1"] },
    rbac: [],
    filter: {
      kind: "http",
      statPrefix: "x",
      rbac: [],
      routes: { kind: "inline", config: { name: "x", virtualHosts: [] } },
    },
  };
  return harness.sidecar(
    {
      destination: () => ({ address: "127.0.0.1", port: app }),
      limits: { detectionTimeoutMs },
      now,
    },
    {
      listeners: [virtual("virtualOutbound", "outbound", [http], tcp)],
      clusters: [cluster("original", { discovery: { kind: "original-destination" } })],
    },
  );
}

describe("a peer whose ClientHello comes late because it is busy", () => {
  /**
   * An inbound sidecar before a server that greets; `greeting` is what a TLS client sees that says hello only when
   * `until` has been waited for.
   */
  async function greeter(
    harness: Harness,
    { isStrict, now }: { isStrict: boolean; now: () => number },
  ): Promise<{
    readonly server: Sidecar;
    readonly port: number;
    readonly greeting: (until: () => Promise<unknown>) => Promise<string>;
  }> {
    const app = await harness.tcpApp((socket) => {
      socket.write("hello\n");
      socket.resume().on("end", () => socket.end());
    });
    const ca = await createMeshCa();
    const server = await harness.sidecar(
      {
        workload: labels("shop", "db"),
        destination: () => ({ address: "127.0.0.1", port: app }),
        limits: { detectionTimeoutMs },
        now,
      },
      inbound(app, { isTcp: true, isStrict }),
      { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/db") },
    );
    const [own, trust] = await ca.secrets("spiffe://cluster.local/ns/shop/sa/web");
    const port = server.portOf("virtualInbound") ?? 0;
    const greeting = async (until: () => Promise<unknown>): Promise<string> => {
      const raw = connect(port, "127.0.0.1");
      await once(raw, "connect");
      await until();
      const socket = connectTls({
        socket: raw,
        key: own.key,
        cert: own.chain,
        ca: trust.roots,
        ALPNProtocols: ["heddle"],
        checkServerIdentity: () => undefined,
      });
      const [bytes] = await once(socket, "data");
      socket.destroy();
      return String(bytes);
    };
    return { server, port, greeting };
  }

  test("is waited for where nothing but TLS is taken", { timeout: 300_000 }, async () => {
    await using harness = new Harness();
    let now = 0;
    const { server, greeting } = await greeter(harness, { isStrict: true, now: () => now });
    const isLate = async () => {
      while (server.runtime.connections.size === 0) await delay(2);
      now += detectionTimeoutMs * 4;
      server.runtime.environment.wheel.turn();
    };
    assert.equal(await greeting(isLate), "hello\n");
  });

  test("is not taken for silent because another client in the clear was", {
    timeout: 300_000,
  }, async () => {
    await using harness = new Harness();
    let now = 0;
    const { server, port, greeting } = await greeter(harness, { isStrict: false, now: () => now });
    const { connections, environment, serverFirst } = server.runtime;
    /** Resolves when a client in the clear, the `count`th that is here, is greeted because it was silent for so long. */
    const greetedInTheClear = async (count: number, silentMs: number): Promise<void> => {
      const plain = connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
      const greeted = once(plain, "data");
      while (connections.size < count) await delay(1);
      now += silentMs + 20; // two ticks
      environment.wheel.turn();
      assert.equal(String((await greeted)[0]), "hello\n");
      plain.destroy();
    };
    await greetedInTheClear(1, detectionTimeoutMs);
    while (serverFirst.all.length === 0 || connections.size > 0) await delay(2);
    // That client is known now, and greeted soon: as soon as another would be that were taken for it.
    assert.equal(await greeting(() => greetedInTheClear(2, 50)), "hello\n");
  });
});

/** A client of an inbound sidecar before `app`, which does not wait for the handshake before it speaks. */
async function eagerClient(harness: Harness, app: number): Promise<TLSSocket> {
  const ca = await createMeshCa();
  const server = await harness.sidecar(
    {
      workload: labels("shop", "db"),
      destination: () => ({ address: "127.0.0.1", port: app }),
    },
    inbound(app, { isTcp: true, isStrict: true }),
    { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/db") },
  );
  const [own, trust] = await ca.secrets("spiffe://cluster.local/ns/shop/sa/web");
  return connectTls({
    port: server.portOf("virtualInbound") ?? 0,
    host: "127.0.0.1",
    key: own.key,
    cert: own.chain,
    ca: trust.roots,
    ALPNProtocols: ["heddle"],
    checkServerIdentity: () => undefined,
  });
}

describe("a client that speaks in one breath with its end of the TLS handshake", () => {
  test("loses none of its first bytes", { timeout: 300_000 }, async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => socket.pipe(socket));
    const client = await eagerClient(harness, app);
    client.write("hello\n");
    const [bytes] = await once(client, "data");
    assert.equal(String(bytes), "hello\n");
    client.destroy();
  });

  test("may have said all with it", { timeout: 300_000 }, async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => socket.pipe(socket));
    const client = await eagerClient(harness, app);
    client.end("hello\n");
    let text = "";
    for await (const bytes of client) text += bytes;
    assert.equal(text, "hello\n");
  });
});

test("small TLS records that came in one read stay apart while a server reads slowly", {
  timeout: 300_000,
}, async () => {
  await using harness = new Harness();
  const received = createHash("sha256");
  let server: Socket | undefined;
  const app = await harness.tcpApp((socket) => {
    server = socket;
    socket.on("data", (bytes) => {
      received.update(bytes);
      socket.pause();
      setTimeout(() => socket.resume(), 2);
    });
    socket.on("end", () => socket.end("all"));
    socket.pause();
  });
  const client = await eagerClient(harness, app);
  const sent = createHash("sha256");
  for (let i = 0; i < 8_000; i++) {
    const message = Buffer.alloc(3_000, `${i},`);
    sent.update(message);
    // A record each. One that does not leave has every buffer before it full: the server may read.
    const written = new Promise((resolve) => client.write(message, resolve));
    const isStuck = await Promise.race([written.then(() => false), delay(200, true)]);
    if (isStuck) server?.resume();
    await written;
  }
  server?.resume();
  client.end();
  const [answer] = await once(client, "data");
  assert.equal(String(answer), "all");
  assert.equal(received.digest("hex"), sent.digest("hex"));
});

test("a server that reads slowly gets what a client sent by TLS, and in order", {
  timeout: 300_000,
}, async () => {
  await using harness = new Harness();
  const received = createHash("sha256");
  const app = await harness.tcpApp((socket) => {
    socket.on("data", (bytes) => {
      received.update(bytes);
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    });
    socket.on("end", () => socket.end("all"));
  });
  const { port } = await tcpPair(harness, app, true);
  const client = await harness.raw(port);
  const sent = Buffer.alloc(24 << 20);
  for (let i = 0; i < sent.length; i += 4) sent.writeUInt32LE(i, i);
  client.socket.end(sent);
  assert.equal(await client.untilEnd(), "all");
  assert.equal(received.digest("hex"), createHash("sha256").update(sent).digest("hex"));
});
