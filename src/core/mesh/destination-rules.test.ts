/** What DestinationRules say of balancers, pools and detection of outliers. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { cart, cartWith, expanded, shop } from "../../../test/worlds/shop.ts";
import { walkOutbound } from "./walk.ts";

describe("a DestinationRule's settings of TCP", () => {
  const tcp = `{ idleTimeout: 0s, maxConnectionDuration: 10m, tcpKeepalive: { time: 30s, interval: 5s, probes: 3 } }`;
  const rule = `
kind: DestinationRule
metadata: { name: db }
spec: { host: db, trafficPolicy: { connectionPool: { tcp: ${tcp} } } }
`;
  const { value } = compileFor(meshWorld(shop, rule), "shop/web");

  test("are the cluster's, and of the listener that leads to it", () => {
    const db = value.clusters.find(({ service }) => service?.name === "db");
    assert.deepEqual(
      [db?.maxConnectionDurationMs, db?.keepAlive],
      [600_000, { timeMs: 30_000, intervalMs: 5_000, probes: 3 }],
    );
    const idle = value.listeners
      .flatMap(({ name, filterChains, defaultFilterChain: last }) =>
        [...filterChains, ...(last === undefined ? [] : [last])].map(({ filter }) => ({
          name,
          filter,
        })),
      )
      .flatMap(({ name, filter }) =>
        filter.kind === "tcp" && filter.idleTimeoutMs !== undefined
          ? [`${name} ${filter.idleTimeoutMs}`]
          : [],
      );
    assert.deepEqual(idle, ["10.96.0.2_5432 0"]);
  });
});

describe("a DestinationRule's settings of HTTP", () => {
  const clusterOf = (http: string, host = "cart", port = 80) => {
    const rule = `
kind: DestinationRule
metadata: { name: ${host} }
spec: { host: ${host}, trafficPolicy: { connectionPool: { http: ${http} } } }
`;
    const { value } = compileFor(meshWorld(shop, rule), "shop/web");
    return value.clusters.find(
      ({ service }) => service?.name === host && service.port === port && !service.subset,
    );
  };
  const protocol = (http: string, host?: string, port?: number) =>
    clusterOf(http, host, port)?.protocol;

  test("have endpoints spoken to in HTTP/2 that the port's name gives HTTP/1.1, or as the client speaks", () => {
    assert.equal(protocol("{}"), undefined);
    assert.equal(protocol("{ h2UpgradePolicy: UPGRADE }"), "http/2");
    assert.equal(protocol("{ h2UpgradePolicy: DO_NOT_UPGRADE }"), undefined);
    assert.equal(protocol("{ useClientProtocol: true }"), "downstream");
    assert.equal(protocol("{ h2UpgradePolicy: UPGRADE }", "legacy", 9000), "http/2");
    assert.equal(protocol("{ h2UpgradePolicy: UPGRADE }", "db", 5432), undefined);
  });

  test("limit the streams of a connection and ask whether its other end is there", () => {
    const found = clusterOf(
      "{ maxConcurrentStreams: 7, http2KeepAlive: { interval: 15s, timeout: 5s } }",
    );
    assert.equal(found?.maxConcurrentStreams, 7);
    assert.deepEqual(found?.http2KeepAlive, { intervalMs: 15_000, timeoutMs: 5_000 });
    assert.equal(clusterOf("{ maxConcurrentStreams: 0 }")?.maxConcurrentStreams, undefined);
  });
});

describe("a DestinationRule with statistical outlier detection", () => {
  const detection = (annotation: string, policy = "{ outlierDetection: {} }") => {
    const rule = `
kind: DestinationRule
metadata: { name: cart, annotations: { heddle.dev/outlier-detection: '${annotation}' } }
spec: { host: cart, trafficPolicy: ${policy} }
`;
    const { clusters } = compileFor(meshWorld(shop, rule), "shop/web").value;
    return clusters.find(({ name }) => name === cart)?.outlierDetection;
  };

  test("has the detectors of which it says something, with Envoy's defaults for the rest", () => {
    const both = detection('{"failurePercentageThreshold":40,"successRateStdevFactor":1500}');
    assert.deepEqual(both?.failurePercentage, {
      minimumHosts: 5,
      minimumRequests: 50,
      percent: 40,
    });
    assert.deepEqual(both?.successRate, {
      minimumHosts: 5,
      minimumRequests: 100,
      deviations: 1.5,
    });
    assert.equal(detection('{"failurePercentageThreshold":40}')?.successRate, undefined);
    assert.equal(detection('{"failurePercentageThreshold":40}', "{}"), undefined);
  });

  test("counts failures of its own kinds apart where they are split", () => {
    const split =
      "{ outlierDetection: { splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 7, consecutiveGatewayErrors: 3 } }";
    const { consecutiveLocalOrigin, consecutiveGatewayErrors } = detection("{}", split) ?? {};
    assert.deepEqual([consecutiveLocalOrigin, consecutiveGatewayErrors], [7, 3]);
  });
});

describe("a DestinationRule with a health check", () => {
  test("asks as the host that a Host field names, which no second line says", () => {
    const probe = { httpGet: { httpHeaders: [{ name: "Host", value: "probe.example" }] } };
    const rule = `
kind: DestinationRule
metadata: { name: cart, annotations: { heddle.dev/health-check: '${JSON.stringify(probe)}' } }
spec: { host: cart }
`;
    const { value } = compileFor(meshWorld(shop, rule), "shop/web");
    const check = value.clusters.find(({ name }) => name === cart)?.healthCheck?.probe;
    assert.ok(check?.kind === "http");
    assert.equal(check.host, "probe.example");
    assert.deepEqual(check.headers, [["x-heddle-health-check", "1"]]);
  });

  const checks = (probe: string): readonly string[] => {
    const rule = `
kind: DestinationRule
metadata: { name: all, annotations: { heddle.dev/health-check: '${probe}' } }
spec: { host: "*.shop.svc.cluster.local" }
`;
    return compileFor(meshWorld(shop, rule), "shop/web").value.clusters.flatMap(
      ({ name, healthCheck }) =>
        healthCheck === undefined
          ? []
          : [
              `${name.split("|")[3]?.split(".")[0]} ${healthCheck.probe.kind} ${healthCheck.intervalMs}`,
            ],
    );
  };

  test("has it at the ports that can be asked so", () => {
    assert.deepEqual(checks('{"httpGet":{"path":"/up"},"periodSeconds":3}'), [
      "cart http 3000",
      "legacy http 3000",
    ]);
    assert.deepEqual(checks('{"tcpSocket":{}}'), [
      "db tcp 10000",
      "cart tcp 10000",
      "legacy tcp 10000",
    ]);
    assert.deepEqual(checks('{"grpc":{}}'), []);
    assert.deepEqual(checks("not JSON"), []);
  });
});

describe("a DestinationRule", () => {
  test("sets balancer, pool and outlier detection", () => {
    const { cluster } = cartWith(
      `
      host: cart
      trafficPolicy:
        loadBalancer: { simple: ROUND_ROBIN }
        connectionPool: { tcp: { maxConnections: 7, connectTimeout: 3s }, http: { maxRetries: 2 } }
        outlierDetection: { consecutive5xxErrors: 3, interval: 1s }`.replaceAll("\n", "\n  "),
    );
    assert.equal(cluster?.balancer.kind, "round-robin");
    assert.deepEqual(cluster?.circuitBreakers, { maxConnections: 7, maxRetries: 2 });
    assert.equal(cluster?.connectTimeoutMs, 3000);
    assert.deepEqual(cluster?.outlierDetection, {
      consecutive5xx: 3,
      consecutiveGatewayErrors: 0,
      intervalMs: 1000,
      baseEjectionMs: 30_000,
      maxEjectionPercent: 10,
    });
  });

  test("sets every pool limit, retry budget, detector and threshold that it names", () => {
    const { cluster } = cartWith(
      `
      host: cart
      trafficPolicy:
        loadBalancer: { simple: LEAST_REQUEST, warmup: { duration: 30s, minimumPercent: 5 } }
        connectionPool: { http: { idleTimeout: 20s, maxRequestsPerConnection: 100 } }
        retryBudget: { percent: 30 }
        outlierDetection:
          splitExternalLocalOriginErrors: true
          consecutiveLocalOriginFailures: 4
          outlierDetectionHttpErrorCodes: [429, 503]
          minHealthPercent: 40`.replaceAll("\n", "\n  "),
    );
    assert.deepEqual(cluster?.slowStart, { windowMs: 30_000, aggression: 1, minPercent: 5 });
    assert.equal(cluster?.idleTimeoutMs, 20_000);
    assert.equal(cluster?.maxRequestsPerConnection, 100);
    assert.equal(cluster?.panicPercent, 40);
    assert.deepEqual(cluster?.circuitBreakers, {
      retryBudget: { percent: 30, minConcurrency: 3 },
    });
    assert.equal(cluster?.outlierDetection?.consecutiveLocalOrigin, 4);
    assert.deepEqual(cluster?.outlierDetection?.failureStatuses, [429, 503]);
  });

  test("with consistent hashing tells clusters how, and their routes by what", () => {
    const hashing = (hash: string) => {
      const rule = `
kind: DestinationRule
metadata: { name: cart }
spec: { host: cart, trafficPolicy: { loadBalancer: { consistentHash: ${hash} } } }
`;
      const { value } = compileFor(meshWorld(shop, rule), "shop/web");
      const { route } = walkOutbound(value, expanded({}));
      const balancer = value.clusters.find(({ name }) => name === cart)?.balancer;
      return [balancer, route?.action.kind === "forward" ? route.action.hash : undefined];
    };
    assert.deepEqual(hashing("{ httpHeaderName: x-user }"), [
      { kind: "ring-hash", minimumRingSize: 1_024 },
      [{ kind: "header", name: "x-user" }],
    ]);
    const attributes = "[{ name: SameSite, value: Lax }, { name: Secure }]";
    assert.deepEqual(hashing(`{ httpCookie: { name: sid, attributes: ${attributes} } }`)[1], [
      {
        kind: "cookie",
        name: "sid",
        attributes: [
          ["SameSite", "Lax"],
          ["Secure", ""],
        ],
      },
    ]);
    assert.deepEqual(
      hashing("{ httpCookie: { name: sid, ttl: 0s }, maglev: { tableSize: 251 } }"),
      [{ kind: "maglev", tableSize: 251 }, [{ kind: "cookie", name: "sid", ttlMs: 0 }]],
    );
    assert.deepEqual(
      hashing(
        "{ useSourceIp: true } }, portLevelSettings: [{ port: { number: 80 }, loadBalancer: { consistentHash: { httpHeaderName: x-port } } }], tls: { mode: DISABLE",
      ),
      [{ kind: "ring-hash", minimumRingSize: 1_024 }, [{ kind: "header", name: "x-port" }]],
    );
    assert.deepEqual(hashing("{ useSourceIp: true, ringHash: { minimumRingSize: 9 } }"), [
      { kind: "ring-hash", minimumRingSize: 9 },
      [{ kind: "source-ip" }],
    ]);
  });
});
