/** A configuration that comes while requests are under way, and the end of a sidecar. */

import assert from "node:assert/strict";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { describe, test } from "node:test";
import type { ProxyConfig } from "../../model/proxy-config.ts";
import { Harness, request, snapshot } from "../testing/harness.ts";
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

/** Keeps `clients` keep-alive connections busy; answers how often each body came, and every failure. */
class Load {
  readonly bodies = new Map<string, number>();
  readonly failures: string[] = [];
  #isRunning = true;
  readonly #done: Promise<unknown>;

  constructor(port: number, clients: number) {
    const agent = new Agent({ keepAlive: true, maxSockets: clients });
    const client = async () => {
      while (this.#isRunning) {
        try {
          const body = await this.#ask(port, agent);
          this.bodies.set(body, (this.bodies.get(body) ?? 0) + 1);
        } catch (error) {
          this.failures.push(String(error));
        }
      }
    };
    this.#done = Promise.all(Array.from({ length: clients }, client)).then(() => agent.destroy());
  }

  get total(): number {
    let sum = 0;
    for (const count of this.bodies.values()) sum += count;
    return sum;
  }

  /** Waits for `count` more answers. */
  async more(count: number): Promise<void> {
    const wanted = this.total + count;
    while (this.total < wanted && this.failures.length === 0) await new Promise(setImmediate);
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#done;
  }

  #ask(port: number, agent: Agent): Promise<string> {
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        { port, host: "127.0.0.1", agent, headers: { host: "cart" } },
        (response: IncomingMessage) => {
          let text = "";
          response.on("data", (bytes) => {
            text += bytes;
          });
          response.on("error", reject);
          response.on("end", () => {
            if (response.statusCode === 200) resolve(text);
            else reject(new Error(`${response.statusCode} ${text}`));
          });
        },
      );
      sent.on("error", reject);
      sent.end();
    });
  }
}

function toCluster(name: string, ports: readonly number[]): Partial<ProxyConfig> {
  return {
    ...outbound([virtualHost(["*"], [route(forward(name))])]),
    clusters: [cluster(name), passthrough],
    endpoints: [{ cluster: name, endpoints: ports.map((port) => endpoint(port)) }],
  };
}

describe("a change of configuration", () => {
  test("is in force with the next request, and fails none that are under way", async () => {
    await using harness = new Harness();
    const delayed = (body: string) => harness.app((_, res) => setImmediate(() => res.end(body)));
    const [v1, v2] = [await delayed("v1"), await delayed("v2")];
    const { sidecar, port } = await harness.toPorts([v1]);
    const load = new Load(port, 8);
    await load.more(50);
    for (let i = 0; i < 20; i++) {
      const [name, app] = i % 2 === 0 ? (["second", v2] as const) : (["first", v1] as const);
      await sidecar.apply(snapshot(toCluster(name, [app]), { version: `${i + 2}` }));
      const answer = await request(port);
      assert.equal(answer.body, i % 2 === 0 ? "v2" : "v1");
      await load.more(20);
    }
    await load.stop();
    assert.deepEqual(load.failures, []);
  });

  test("that removes an endpoint drains it: nothing fails, and its connections go", async () => {
    await using harness = new Harness();
    const apps = [
      await harness.app((_, res) => setTimeout(() => res.end("a"), 2)),
      await harness.app((_, res) => setTimeout(() => res.end("b"), 2)),
    ] as const;
    const { sidecar, port } = await harness.toPorts(apps);
    const load = new Load(port, 16);
    await load.more(100);
    const leaving = sidecar.tables.clusters.get("app")?.hosts.find((host) => host.port === apps[0]);
    assert(leaving !== undefined && leaving.connections > 0);
    await sidecar.apply(snapshot(toCluster("app", [apps[1]]), { version: "2" }));
    await load.more(50);
    const before = load.bodies.get("a");
    await load.more(100);
    assert.equal(load.bodies.get("a"), before);
    assert.equal(leaving.connections, 0);
    await sidecar.apply(snapshot(toCluster("app", apps), { version: "3" }));
    await load.more(100);
    await load.stop();
    assert((load.bodies.get("a") ?? 0) > (before ?? 0));
    assert.deepEqual(load.failures, []);
  });

  test("that cannot be built changes nothing, and is rejected with the reason", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("still here"));
    const { sidecar, port } = await harness.toPorts([app]);
    const broken = snapshot(
      {
        ...toCluster("app", []),
        ...outbound([
          virtualHost(
            ["*"],
            [
              route(forward("app"), {
                match: {
                  path: { kind: "regex", value: "(" },
                  headers: [],
                  queryParameters: [],
                },
              }),
            ],
          ),
        ]),
      },
      { version: "2" },
    );
    const fine = snapshot(toCluster("app", [app]), { version: "3" });
    const answers: string[] = [];
    await sidecar.follow(
      {
        async *snapshots() {
          yield broken;
          assert.equal((await request(port)).body, "still here");
          yield fine;
        },
        accept: (version) => answers.push(`accept ${version}`),
        reject: (version, error) => answers.push(`reject ${version}: ${error}`),
      },
      new AbortController().signal,
      () => answers.push("ready"),
    );
    assert.match(
      answers[0] ?? "",
      /^reject 2: build route configuration 80: compile regular expression "\("/,
    );
    assert.deepEqual(answers.slice(1), ["accept 3", "ready"]);
  });

  test("of certificates touches no connection, and new ones use the new", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const cart = "spiffe://cluster.local/ns/shop/sa/cart";
    const app = await harness.app((_, res) => res.end("ok"));
    const inboundConfig = inbound(app, { isStrict: true });
    const server = await harness.sidecar(
      {
        workload: labels("shop", "cart"),
        destination: () => ({ address: "127.0.0.1", port: app }),
      },
      inboundConfig,
      { secrets: await ca.secrets(cart) },
    );
    const port = server.portOf("virtualInbound") ?? 0;
    const config = {
      ...outbound([virtualHost(["*"], [route(forward("cart"))])]),
      clusters: [cluster("cart", { tls: upstreamTls(cart) }), passthrough],
      endpoints: [{ cluster: "cart", endpoints: [endpoint(port, { tls: true })] }],
    };
    const client = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      config,
      { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/web") },
    );
    const load = new Load(client.portOf("virtualOutbound") ?? 0, 4);
    await load.more(20);
    const runtime = client.tables.clusters.get("cart");
    const opened = runtime?.connectionsTotal;
    for (let i = 0; i < 3; i++) {
      await server.apply(
        snapshot(inboundConfig, { version: `${i + 2}`, secrets: await ca.secrets(cart) }),
      );
      await client.apply(
        snapshot(config, {
          version: `${i + 2}`,
          secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/web"),
        }),
      );
      await load.more(20);
    }
    assert.equal(runtime?.connectionsTotal, opened);
    assert.equal((await request(client.portOf("virtualOutbound") ?? 0)).status, 200);
    await load.stop();
    assert.deepEqual(load.failures, []);
  });
});

describe("a sidecar that is stopped", () => {
  test("finishes what is in flight, says close, and takes nothing new", async () => {
    await using harness = new Harness();
    let release: () => void = () => {};
    let arrived: () => void = () => {};
    const hasArrived = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const app = await harness.app((_, res) => {
      release = () => res.end("done");
      arrived();
    });
    const { sidecar, port } = await harness.toPorts([app], { limits: { drainMs: 5_000 } });
    const last = request(port);
    await hasArrived;
    const drained = sidecar.drain();
    await assert.rejects(request(port), /ECONNREFUSED/);
    release();
    const answer = await last;
    assert.deepEqual(
      [answer.status, answer.body, answer.headers["connection"]],
      [200, "done", "close"],
    );
    await drained;
    assert.equal(sidecar.isReady, false);
  });

  test("answers who asks on a connection that was idle just then, once, and closes on who does not", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const { sidecar, port } = await harness.toPorts([app], { limits: { drainMs: 600 } });
    const ask = "POST / HTTP/1.1\r\nhost: cart\r\ncontent-length: 0\r\n\r\n";
    const [busy, idle] = [await harness.raw(port), await harness.raw(port)];
    for (const client of [busy, idle]) {
      await client.send(ask).until((text) => text.endsWith("ok") || text.endsWith("0\r\n\r\n"));
    }
    const drained = sidecar.drain();
    const text = await busy.send(ask).untilEnd(); // on its way before a close could have been read
    assert.deepEqual([text.match(/200 OK/g)?.length, /connection: close/i.test(text)], [2, true]);
    await idle.untilEnd();
    for (const client of [busy, idle]) client.socket.end();
    await drained;
  });
});
