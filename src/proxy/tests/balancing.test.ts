/** Which backend a request meets, with backends that flap, hang, fail at once or have just come. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import type { Cluster, HashKey, OutlierDetection } from "../../model/proxy-config.ts";
import { Harness, request, snapshot } from "../testing/harness.ts";
import { cluster, endpoint, forward, outbound, route, virtualHost } from "../testing/mesh.ts";

type Behaviour = "good" | "failing" | "silent";

/** Backends that answer with their index, as long as they are good. */
async function backends(harness: Harness, count: number) {
  const behaviours: Behaviour[] = Array.from({ length: count }, () => "good");
  const served = behaviours.map(() => 0);
  const ports: number[] = [];
  for (let index = 0; index < count; index++) {
    const port = await harness.app((_, res) => {
      served[index] = (served[index] ?? 0) + 1;
      const behaviour = behaviours[index];
      if (behaviour === "silent") return;
      res.writeHead(behaviour === "failing" ? 503 : 200).end(`${index}`);
    });
    ports.push(port);
  }
  return { ports, behaviours, served };
}

/** No time passes for the sidecar unless `now` moves: however slow the machine, what failed lately failed just now. */
function toCluster(
  harness: Harness,
  ports: readonly number[],
  settings: Partial<Cluster>,
  action: Parameters<typeof forward>[1] = {},
  now: () => number = () => 0,
) {
  return harness.outbound(
    [virtualHost(["*"], [route(forward("app", action))])],
    {
      clusters: [cluster("app", settings)],
      endpoints: [{ cluster: "app", endpoints: ports.map((port) => endpoint(port)) }],
    },
    { random: seededRandom(7), now },
  );
}

const outlierDetection: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 0,
  intervalMs: 20,
  baseEjectionMs: 300,
  maxEjectionPercent: 100,
};

describe("consistent hashing", () => {
  const sticky = async (key: HashKey, headers: readonly Record<string, string>[], path = "/") => {
    await using harness = new Harness();
    const { ports } = await backends(harness, 5);
    const balancer = { kind: "ring-hash" as const, minimumRingSize: 1_024 };
    const { port } = await toCluster(harness, ports, { balancer }, { hash: [key] });
    const bodies: string[] = [];
    for (const one of headers) bodies.push((await request(port, { headers: one, path })).body);
    return bodies;
  };

  test("sends the same header value to the same backend, and values apart", async () => {
    const users = Array.from({ length: 80 }, (_, index) => ({ "x-user": `user-${index % 40}` }));
    const bodies = await sticky({ kind: "header", name: "x-user" }, users);
    assert.deepEqual(bodies.slice(0, 40), bodies.slice(40));
    assert(new Set(bodies).size >= 3); // of ten users all met two of the five in one run of a thousand: ports are chance
  });

  test("finds the key in a cookie, in the query, and in the address", async () => {
    const cookies = [{ cookie: 'a=b; sid="7"' }, { cookie: "sid=7" }];
    const [first, second] = await sticky({ kind: "cookie", name: "sid" }, cookies);
    assert.equal(first, second);
    const twice = [{}, {}, {}, {}];
    assert.equal(new Set(await sticky({ kind: "query", name: "u" }, twice, "/?u=7")).size, 1);
    assert.equal(new Set(await sticky({ kind: "source-ip" }, twice)).size, 1);
  });

  test("gives a client without the cookie one, which leads back to the backend that it met", async () => {
    await using harness = new Harness();
    const { ports } = await backends(harness, 5);
    const hash: HashKey[] = [{ kind: "cookie", name: "sid", path: "/", ttlMs: 60_000 }];
    const balancer = { kind: "maglev" as const, tableSize: 65_537 };
    const { port } = await toCluster(harness, ports, { balancer }, { hash });
    for (let i = 0; i < 5; i++) {
      const first = await request(port);
      const [given = ""] = first.headers["set-cookie"] ?? [];
      assert.match(given, /^sid="[0-9a-f-]{36}"; Max-Age=60; Path=\/; HttpOnly$/);
      const again = await request(port, { headers: { cookie: given.split(";")[0] ?? "" } });
      assert.equal(again.body, first.body);
      assert.equal(again.headers["set-cookie"], undefined);
    }
  });
});

describe("a cookie that clients are given", () => {
  test("is given to who shows an emptied one, too, so that not all of those meet the same backend", async () => {
    await using harness = new Harness();
    const { ports } = await backends(harness, 2);
    const hash: HashKey[] = [{ kind: "cookie", name: "sid", ttlMs: 0 }];
    const balancer = { kind: "ring-hash" as const, minimumRingSize: 1_024 };
    const { port } = await toCluster(harness, ports, { balancer }, { hash });
    for (const cookie of ["sid=", 'sid=""']) {
      const { headers } = await request(port, { headers: { cookie } });
      assert.match(String(headers["set-cookie"]), /^sid="[^"]+"; HttpOnly$/);
    }
  });

  test("has the attributes that are asked for", async () => {
    await using harness = new Harness();
    const { ports } = await backends(harness, 1);
    const attributes = [["SameSite", "Lax"] as const, ["Secure", ""] as const];
    const hash: HashKey[] = [{ kind: "cookie", name: "sid", ttlMs: 0, attributes }];
    const balancer = { kind: "ring-hash" as const, minimumRingSize: 1_024 };
    const { port } = await toCluster(harness, ports, { balancer }, { hash });
    const [given = ""] = (await request(port)).headers["set-cookie"] ?? [];
    assert.match(given, /^sid="[^"]+"; SameSite=Lax; Secure; HttpOnly$/);
  });
});

describe("a backend that fails at once", () => {
  test("draws no more than a small share of the traffic, without any outlier detection", async () => {
    await using harness = new Harness();
    const { ports, behaviours, served } = await backends(harness, 4);
    behaviours[0] = "failing";
    const balancer = { kind: "least-request" as const };
    const { port, sidecar } = await toCluster(harness, ports, { balancer });
    const [host] = sidecar.tables.clusters.get("app")?.hosts ?? [];
    for (let i = 0; i < 200; i++) await request(port);
    const [failing = 0] = served;
    // A fair share is 50; both draws of a pick hit it once in sixteen.
    assert(failing < 30, `${failing} of 200 requests met the failing backend`);
    behaviours[0] = "good";
    for (let i = 0; i < 1_000 && host?.record.isFailing; i++) await request(port);
    assert.equal(host?.strain, 1, "it is forgiven once it answers again");
  });
});

describe("a backend that fails in no time beside others that work", () => {
  /** Of 400 requests, 16 at a time, to three backends that take 5 ms and one that fails at once. */
  const drawn = async (settings: Partial<Cluster>) => {
    await using harness = new Harness();
    let failures = 0;
    const failing = await harness.app((_, res) => {
      failures++;
      res.writeHead(503).end();
    });
    const good: number[] = [];
    for (let i = 0; i < 3; i++) {
      good.push(await harness.app((_, res) => setTimeout(() => res.end("ok"), 5)));
    }
    const balancer = { kind: "least-request" as const };
    const { port } = await toCluster(harness, [failing, ...good], { balancer, ...settings });
    let left = 400;
    const client = async () => {
      while (left-- > 0) await request(port);
    };
    await Promise.all(Array.from({ length: 16 }, client));
    return failures;
  };

  test("draws less than its share, by its weight alone", async () => {
    const failures = await drawn({});
    assert(failures < 80, `${failures} of 400, a fair share is 100`);
  });

  test("draws next to nothing where outlier detection takes it out", async () => {
    const ejecting = { ...outlierDetection, baseEjectionMs: 60_000 };
    const failures = await drawn({ outlierDetection: ejecting });
    assert(failures <= 3 + 16, `${failures} of 400: three in a row, and those under way`);
  });
});

describe("a backend that flaps", () => {
  test("costs one request each time its ejection ends, and is used again when it has recovered", async () => {
    await using harness = new Harness();
    const { ports, behaviours, served } = await backends(harness, 2);
    behaviours[0] = "failing";
    const settings = { balancer: { kind: "round-robin" as const }, outlierDetection };
    let now = 1;
    const { port, sidecar } = await toCluster(harness, ports, settings, {}, () => now);
    const [host] = sidecar.tables.clusters.get("app")?.hosts ?? [];
    assert(host !== undefined);
    while (!host.isEjected) await request(port);
    assert.equal(served[0], 3);
    now += outlierDetection.baseEjectionMs;
    while (!host.health.isOnProbation) await new Promise((resolve) => setTimeout(resolve, 5));
    while (!host.isEjected) await request(port);
    assert.equal(served[0], 4, "one probe is enough to send it back");
    assert.equal(host.health.ejections, 2);
    behaviours[0] = "good";
    now += 2 * outlierDetection.baseEjectionMs;
    while (!host.health.isOnProbation) await new Promise((resolve) => setTimeout(resolve, 5));
    while (host.health.isOnProbation) assert.equal((await request(port)).status, 200);
    const bodies = new Set<string>();
    for (let i = 0; i < 4; i++) bodies.add((await request(port)).body);
    assert.deepEqual([...bodies].sort(), ["0", "1"]);
  });

  test("gets one request at a time while it is on probation", async () => {
    await using harness = new Harness();
    const { ports, behaviours, served } = await backends(harness, 2);
    const balancer = { kind: "round-robin" as const };
    const settings = { balancer, outlierDetection };
    const { port, sidecar } = await toCluster(harness, ports, settings, {}, () => 2);
    const [host] = sidecar.tables.clusters.get("app")?.hosts ?? [];
    assert(host !== undefined);
    host.health.ejections = 1;
    host.health.ejectedUntil = 1; // it is over
    while (!host.health.isOnProbation) await new Promise((resolve) => setTimeout(resolve, 5));
    behaviours[0] = "silent";
    const pending: Promise<unknown>[] = [];
    while (served[0] === 0) {
      pending.push(request(port).catch(() => undefined)); // the one that meets it hangs till the end
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (let i = 0; i < 10; i++) assert.equal((await request(port)).body, "1");
    assert.equal(served[0], 1);
    assert(pending.length > 0);
  });
});

describe("backends of two priorities", () => {
  test("share the load as the first ones fail, and give it back as they recover", async () => {
    await using harness = new Harness();
    const { ports, behaviours, served } = await backends(harness, 6);
    const near = ports.slice(0, 4);
    const settings: Partial<Cluster> = {
      balancer: { kind: "round-robin" },
      outlierDetection: { ...outlierDetection, baseEjectionMs: 60_000 },
    };
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      {
        clusters: [cluster("app", settings)],
        endpoints: [
          {
            cluster: "app",
            endpoints: ports.map((one) => endpoint(one, near.includes(one) ? {} : { priority: 1 })),
          },
        ],
      },
      { random: seededRandom(7) },
    );
    const shares = async (count: number) => {
      const before = [...served];
      for (let i = 0; i < count; i++) await request(port);
      const gained = served.map((total, index) => total - (before[index] ?? 0));
      return [gained.slice(0, 4), gained.slice(4)].map((some) => some.reduce((a, b) => a + b, 0));
    };
    assert.deepEqual(await shares(40), [40, 0]);
    const hosts = sidecar.tables.clusters.get("app")?.hosts ?? [];
    const ejected = () => hosts.filter((host) => host.isEjected).length;
    behaviours[0] = behaviours[1] = "failing";
    while (ejected() < 2) await request(port);
    const [half = 0] = await shares(200); // 2 of 4, times 1.4: seven tenths stay
    assert(Math.abs(half - 140) < 25, `${half} of 200 stayed`);
    behaviours[2] = behaviours[3] = "failing";
    while (ejected() < 4) await request(port);
    assert.deepEqual(await shares(40), [0, 40]);
    behaviours.fill("good");
    for (const host of hosts) if (host.isEjected) host.health.ejectedUntil = 1; // long ago
    while (hosts.some((host) => host.health.isOnProbation || host.isEjected)) {
      await request(port);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.deepEqual(await shares(40), [40, 0]);
  });

  test("of which one is said to be unhealthy do without it", async () => {
    await using harness = new Harness();
    const { ports, served } = await backends(harness, 2);
    const [sick = 0, well = 0] = ports;
    const { port } = await harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
      clusters: [cluster("app")],
      endpoints: [
        { cluster: "app", endpoints: [endpoint(sick, { isUnhealthy: true }), endpoint(well)] },
      ],
    });
    for (let i = 0; i < 10; i++) assert.equal((await request(port)).body, "1");
    assert.equal(served[0], 0);
  });
});

describe("the panic threshold", () => {
  test("brings ejected backends back when too few are left", async () => {
    await using harness = new Harness();
    const { ports, behaviours, served } = await backends(harness, 4);
    for (const index of [0, 1, 2]) behaviours[index] = "failing";
    const settings: Partial<Cluster> = {
      balancer: { kind: "round-robin" },
      outlierDetection: { ...outlierDetection, baseEjectionMs: 60_000 },
      panicPercent: 30,
    };
    const { port, sidecar } = await toCluster(harness, ports, settings);
    const hosts = sidecar.tables.clusters.get("app")?.hosts ?? [];
    while (hosts.filter((host) => host.isEjected).length < 3) await request(port);
    const before = [...served];
    for (let i = 0; i < 8; i++) await request(port);
    assert.deepEqual(
      served.map((count, index) => count - (before[index] ?? 0)),
      [2, 2, 2, 2],
    );
  });
});

describe("a backend that has just come", () => {
  test("gets little at first where slow start is on", async () => {
    await using harness = new Harness();
    const { ports, served } = await backends(harness, 2);
    const [old = 0, fresh = 0] = ports;
    const slowStart = { windowMs: 60_000, aggression: 1, minPercent: 10 };
    const settings: Partial<Cluster> = { balancer: { kind: "round-robin" }, slowStart };
    const { port, sidecar } = await toCluster(harness, [old], settings);
    const [known] = sidecar.tables.clusters.get("app")?.hosts ?? [];
    assert(known !== undefined);
    Object.assign(known, { since: -60_000 }); // it has been there for long
    await sidecar.apply(
      snapshot({
        ...outbound([virtualHost(["*"], [route(forward("app"))])]),
        clusters: [cluster("app", settings)],
        endpoints: [{ cluster: "app", endpoints: [endpoint(old), endpoint(fresh)] }],
      }),
    );
    for (let i = 0; i < 55; i++) await request(port);
    assert(Math.abs((served[1] ?? 0) - 5) <= 2, `${served[1]} of 55, want a tenth of the other's`);
  });
});
