/** What DestinationRules make of the way to a Service. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { cart, expanded, shop } from "../../../test/worlds/shop.ts";
import type { World } from "../registry/world.ts";
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

describe("a port's settings of a DestinationRule", () => {
  test("leave in force what is said of the host alone", () => {
    const rule = `
kind: DestinationRule
metadata: { name: cart }
spec:
  host: cart
  trafficPolicy:
    retryBudget: { percent: 50 }
    proxyProtocol: { version: V2 }
    connectionPool: { tcp: { maxConnections: 9 } }
    portLevelSettings: [{ port: { number: 80 }, tls: { mode: DISABLE } }]
`;
    const { value } = compileFor(meshWorld(shop, rule), "shop/web");
    const found = value.clusters.find(({ name }) => name === cart);
    assert.equal(found?.proxyProtocol, "v2");
    assert.deepEqual(found.circuitBreakers, { retryBudget: { percent: 50, minConcurrency: 3 } });
  });
});

describe("a DestinationRule with a workloadSelector", () => {
  const rules = `
kind: DestinationRule
metadata: { name: for-web }
spec:
  host: cart
  workloadSelector: { matchLabels: { app: web } }
  trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } }
---
kind: DestinationRule
metadata: { name: for-nobody }
spec:
  host: cart
  workloadSelector: { matchLabels: { app: none } }
  trafficPolicy: { connectionPool: { tcp: { maxConnections: 2 } } }
---
kind: DestinationRule
metadata: { name: for-all }
spec:
  host: cart
  trafficPolicy: { connectionPool: { tcp: { maxConnections: 3 } } }
`;
  const limitOf = (world: World, pod: string) =>
    compileFor(world, pod).value.clusters.find(({ name }) => name === cart)?.circuitBreakers
      .maxConnections;

  test("holds for the pods that it selects, in the place of the rule for everybody, and for no other", () => {
    const world = meshWorld(shop, rules);
    assert.equal(limitOf(world, "shop/web"), 1);
    assert.equal(limitOf(world, "shop/db"), 3);
    assert.equal(limitOf(world, "other/guest"), 3);
  });

  test("says nothing to clients of other namespaces", () => {
    const world = meshWorld(shop, rules.slice(0, rules.lastIndexOf("---")));
    assert.deepEqual(
      [limitOf(world, "shop/db"), limitOf(world, "other/guest")],
      [undefined, undefined],
    );
  });
});

describe("a DestinationRule with a PROXY protocol", () => {
  const header = (policy: string) => {
    const rule = `
kind: DestinationRule
metadata: { name: cart }
spec: { host: cart, trafficPolicy: ${policy} }
`;
    const { value, diagnostics } = compileFor(meshWorld(shop, rule), "shop/web");
    const found = value.clusters.find(({ name }) => name === cart)?.proxyProtocol;
    return [found, ...diagnostics.map(({ code, where }) => `${code} ${where}`)];
  };

  test("has it written in the clear, and says where nothing is in the clear", () => {
    assert.deepEqual(header("{ proxyProtocol: { version: V2 } }"), ["v2"]);
    assert.deepEqual(header("{ proxyProtocol: {}, tls: { mode: DISABLE } }"), ["v1"]);
    assert.deepEqual(header("{ proxyProtocol: {}, tls: { mode: ISTIO_MUTUAL } }"), [
      undefined,
      "HEDDLE0108 DestinationRule shop/cart spec.trafficPolicy.proxyProtocol",
    ]);
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
  const clusterWith = (spec: string, from = "shop/web", namespace = "shop") => {
    const rule = `kind: DestinationRule\nmetadata: { name: r, namespace: ${namespace} }\nspec: ${spec}`;
    const { value, diagnostics } = compileFor(meshWorld(shop, rule), from);
    const cluster = value.clusters.find(({ name }) => name === cart);
    const endpoints = value.endpoints.find((one) => one.cluster === cart)?.endpoints;
    return { cluster, endpoints, diagnostics };
  };

  test("sets balancer, pool and outlier detection", () => {
    const { cluster } = clusterWith(
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
    const { cluster } = clusterWith(
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

  test("with DISABLE speaks plain text, with ISTIO_MUTUAL mesh TLS to everybody", () => {
    const off = clusterWith("{ host: cart, trafficPolicy: { tls: { mode: DISABLE } } }");
    assert.equal(off.cluster?.tls, undefined);
    assert.deepEqual(
      off.endpoints?.map(({ tls }) => tls),
      [false, false],
    );
    const on = clusterWith("{ host: cart, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }");
    assert.deepEqual(
      on.endpoints?.map(({ tls }) => tls),
      [true, true],
    );
  });

  test("with PASSTHROUGH speaks mesh TLS only where it is demanded: what the destination takes is not known", () => {
    const tlsWith = (more: string) =>
      clusterWith(`{ host: cart, trafficPolicy: { loadBalancer: { simple: PASSTHROUGH }${more} } }`)
        .cluster?.tls;
    assert.equal(tlsWith(""), undefined);
    assert.notEqual(tlsWith(", tls: { mode: ISTIO_MUTUAL }"), undefined);
  });

  test("with SIMPLE or MUTUAL speaks the endpoints' own TLS, by whatever names they are to have", () => {
    const originate = (tls: string) =>
      clusterWith(`{ host: cart, trafficPolicy: { tls: ${tls} } }`).cluster?.originate;
    assert.deepEqual(originate("{ mode: SIMPLE }"), {
      trust: { kind: "public" },
      sni: "cart.shop.svc.cluster.local",
      alpn: ["h2", "http/1.1"],
      names: ["cart.shop.svc.cluster.local"],
    });
    assert.deepEqual(originate("{ mode: SIMPLE, credentialName: own-ca, sni: a.example }"), {
      trust: { kind: "secret", name: "kubernetes://shop/own-ca-cacert" },
      sni: "a.example",
      alpn: ["h2", "http/1.1"],
      names: ["a.example"],
    });
    const mutual = originate(
      "{ mode: MUTUAL, credentialName: us, subjectAltNames: [them.example] }",
    );
    assert.deepEqual(
      [mutual?.certificate, mutual?.names],
      ["kubernetes://shop/us", ["them.example"]],
    );
    assert.deepEqual(originate("{ mode: SIMPLE, insecureSkipVerify: true }")?.trust, {
      kind: "none",
    });
  });

  test("whose TLS cannot be done as asked sends nothing anywhere, and says so", () => {
    const refused = (tls: string) => {
      const { endpoints, diagnostics } = clusterWith(
        `{ host: cart, trafficPolicy: { tls: ${tls} } }`,
      );
      assert.deepEqual(endpoints, []);
      return diagnostics.map(({ code }) => code);
    };
    const files = "clientCertificate: /c.pem, privateKey: /k.pem";
    assert.deepEqual(refused(`{ mode: MUTUAL, ${files} }`), ["HEDDLE0104"]);
    assert.deepEqual(refused("{ mode: SIMPLE, caCertificates: /ca.pem }"), ["HEDDLE0104"]);
  });

  test("says of one port what holds for it alone", () => {
    const level = "{ port: { number: 80 }, tls: { mode: SIMPLE } }";
    const { cluster } = clusterWith(
      `{ host: cart, trafficPolicy: { loadBalancer: { simple: RANDOM }, portLevelSettings: [${level}] } }`,
    );
    assert.deepEqual(
      [cluster?.balancer.kind, cluster?.originate?.trust.kind],
      ["least-request", "public"],
    );
  });

  test("has a subset's own settings over those of the host, also where that says them of the port alone", () => {
    const level = (settings: string) =>
      `portLevelSettings: [{ port: { number: 80 }, ${settings} }]`;
    const random = "loadBalancer: { simple: RANDOM }";
    const pool = (maxRetries: number) => `connectionPool: { http: { maxRetries: ${maxRetries} } }`;
    const subset = (host: string, own: string) => {
      const spec = `{ host: cart, trafficPolicy: { ${host} }, subsets: [{ name: v1, trafficPolicy: { ${own} } }] }`;
      const rule = `kind: DestinationRule\nmetadata: { name: r }\nspec: ${spec}`;
      const { clusters } = compileFor(meshWorld(shop, rule), "shop/web").value;
      const found = clusters.find(({ service }) => service?.name === "cart" && service.subset);
      return [found?.balancer.kind, found?.circuitBreakers.maxRetries];
    };
    assert.deepEqual(subset(`${random}, ${pool(1)}`, pool(2)), ["random", 2]);
    assert.deepEqual(subset(level(`${random}, ${pool(1)}`), pool(2)), ["random", 2]);
    assert.deepEqual(subset(`${random}, ${pool(1)}`, level(pool(2))), ["least-request", 2]);
    assert.deepEqual(subset(level(random), level(pool(2))), ["least-request", 2]);
  });

  test("of the client's namespace counts before the Service's, and that before the mesh's", () => {
    const rule = (namespace: string, simple: string): string => `
kind: DestinationRule
metadata: { name: r, namespace: ${namespace} }
spec: { host: cart.shop.svc.cluster.local, trafficPolicy: { loadBalancer: { simple: ${simple} } } }
`;
    const all = [
      rule("other", "RANDOM"),
      rule("shop", "ROUND_ROBIN"),
      rule("istio-system", "LEAST_REQUEST"),
    ];
    const balancerOf = (documents: readonly string[], from: string): string | undefined =>
      compileFor(meshWorld(shop, ...documents), from).value.clusters.find(
        ({ name }) => name === cart,
      )?.balancer.kind;
    assert.equal(balancerOf(all, "other/guest"), "random");
    assert.equal(balancerOf(all, "shop/web"), "round-robin");
    assert.equal(balancerOf(all.slice(2), "shop/web"), "least-request");
  });

  test("endpoints of a pod without sidecar, or with mesh TLS off, get plain text", () => {
    const disabled = `
kind: PeerAuthentication
metadata: { name: off }
spec: { selector: { matchLabels: { version: v1 } }, mtls: { mode: DISABLE } }
`;
    const { value } = compileFor(meshWorld(shop, disabled), "shop/web");
    assert.deepEqual(
      value.endpoints.find((one) => one.cluster === cart)?.endpoints.map(({ tls }) => tls),
      [false, true],
    );
  });
});
