/** Who decides about a connection, in the shop and beside it: a table of questions, each with all that is blamed. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { shopWorld } from "../../../test/worlds/deployed.ts";
import type { World } from "../registry/world.ts";
import { explain } from "./explain.ts";
import type { Explanation, Question, Step, StepName } from "./explanation.ts";
import { renderSeen } from "./seen.ts";
import { renderDecider, renderDifference } from "./verdict.ts";

const shop = shopWorld();

const plainPod = `
apiVersion: v1
kind: Pod
metadata: { name: plain, namespace: outside, labels: { sidecar.istio.io/inject: "false" } }
spec: { containers: [{ name: main, image: any }] }
`;

const mutePolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: mute, namespace: outside }
spec: { podSelector: {}, policyTypes: [Egress] }
`;

const nobody = `
apiVersion: v1
kind: Service
metadata: { name: nobody, namespace: outside }
spec: { selector: { app: nobody }, ports: [{ name: http, port: 80 }] }
`;

const unready = `
apiVersion: v1
kind: Service
metadata: { name: slow, namespace: outside }
spec: { selector: { app: slow }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: slow-pod, namespace: outside, labels: { app: slow } }
spec: { containers: [{ name: main, image: any }] }
status: { conditions: [{ type: Ready, status: "False" }] }
`;

const window = `
apiVersion: v1
kind: Service
metadata: { name: window, namespace: outside }
spec: { selector: { app: nobody }, ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: window, namespace: outside }
spec:
  hosts: [window]
  http:
    - match: [{ uri: { prefix: /shop }, method: { exact: GET } }]
      rewrite: { uri: / }
      route: [{ destination: { host: web.shop.svc.cluster.local } }]
    - match: [{ uri: { exact: /tea } }]
      directResponse: { status: 418 }
    - match: [{ uri: { exact: /nowhere } }]
      route: [{ destination: { host: nowhere } }]
    - match: [{ uri: { exact: /v9 } }]
      route: [{ destination: { host: catalogue.shop.svc.cluster.local, subset: v9 } }]
    - match: [{ uri: { exact: /copied } }]
      route: [{ destination: { host: web.shop.svc.cluster.local } }]
      mirror: { host: catalogue.shop.svc.cluster.local }
      mirrorPercentage: { value: 5 }
    - match: [{ uri: { exact: /fault } }]
      fault: { abort: { httpStatus: 555, percentage: { value: 25 } } }
      route: [{ destination: { host: web.shop.svc.cluster.local } }]
`;

const noRoot = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-root, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  action: DENY
  rules: [{ to: [{ operation: { paths: [/] } }] }]
`;

/** `refused at ingress policy, times out`, then who, then the nearest rule and its differences. */
function verdict(world: World, question: Question): readonly string[] {
  const { verdict } = explain(world, question);
  if (verdict.outcome === "allowed") return ["allowed"];
  if (verdict.outcome !== "refused") return [`${verdict.outcome}: ${verdict.sentence}`];
  const { at, seen, by, nearest } = verdict;
  return [
    `refused at ${at}, ${renderSeen(seen)}`,
    ...by.map(renderDecider),
    ...(nearest === undefined ? [] : [`nearest: ${renderDecider(nearest.rule)}`]),
    ...(nearest?.differences ?? []).map(renderDifference),
  ];
}

/** Who decided a step, on the trunk or on the first branch. */
function deciders({ steps, branches }: Explanation, name: StepName): readonly string[] {
  const all: readonly Step[] = [...steps, ...(branches[0]?.steps ?? [])];
  return all.filter(({ step }) => step === name).flatMap(({ by }) => by.map(renderDecider));
}

describe("an allowed request", () => {
  test("names the object that decided each step", () => {
    const explanation = explain(shop, { source: "web", destination: "cart" });
    assert.equal(explanation.verdict.outcome, "allowed");
    const steps = [...explanation.steps, ...(explanation.branches[0]?.steps ?? [])];
    assert.deepEqual(
      steps.map(({ step, by }) => [step, ...by.map(renderDecider)]),
      [
        ["name", "Service shop/cart spec.clusterIP"],
        ["capture"],
        ["listener", "Service shop/cart spec.ports[0].name"],
        ["route"],
        ["cluster"],
        ["endpoints", "Service shop/cart spec.selector"],
        ["egress policy", "NetworkPolicy shop/web spec.egress[0]"],
        ["ingress policy", "NetworkPolicy shop/cart spec.ingress[0]"],
        ["peer authentication", "PeerAuthentication shop/default spec.mtls.mode"],
        ["authorization"],
      ],
    );
    assert.deepEqual(
      explanation.branches.map(({ share, candidates }) => [
        share,
        ...candidates.map(({ pod, node, mtls }) => `${pod} ${node} ${mtls}`),
      ]),
      [[1, "shop/cart-0 node-1 true", "shop/cart-1 node-2 true"]],
    );
  });

  test("says which rate limits it counts towards, and who wants them", () => {
    const limited = `
apiVersion: v1
kind: Service
metadata: { name: till, namespace: outside, annotations: { heddle.dev/local-rate-limit: '{"requests":5}' } }
spec: { selector: { app: till }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: till-pod, namespace: outside, labels: { app: till } }
spec: { containers: [{ name: main, image: any }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: till, namespace: outside, annotations: { heddle.dev/local-rate-limit: '{"requests":2,"per":"1m"}' } }
spec: { hosts: [till], http: [{ route: [{ destination: { host: till } }] }] }
`;
    const world = shopWorld(limited);
    const { steps, branches, verdict } = explain(world, {
      source: "outsider",
      destination: "till",
    });
    assert.equal(verdict.outcome, "allowed", verdict.sentence);
    const route = steps.find(({ step }) => step === "route");
    assert.match(route?.detail ?? "", /; at most 2 in 60000 ms, 2 at once from here$/);
    const limit = branches[0]?.steps.find(({ step }) => step === "rate limit");
    assert.equal(limit?.detail, "at most 5 in 1000 ms, 5 at once, of all callers together");
    assert.deepEqual(limit?.by.map(renderDecider), [
      'Service outside/till metadata.annotations["heddle.dev/local-rate-limit"]',
    ]);
  });

  test("says where annotations of the source's pod have its sidecar leave a connection alone", () => {
    const past = `
apiVersion: v1
kind: Pod
metadata: { name: past, namespace: outside, annotations: { traffic.sidecar.istio.io/excludeOutboundPorts: "80" } }
spec: { containers: [{ name: main, image: any }] }
`;
    const { steps } = explain(shopWorld(past), { source: "past", destination: "cart.shop" });
    const capture = steps.find(({ step }) => step === "capture");
    assert.equal(
      capture?.detail,
      "annotations of outside/past have its sidecar leave the connection alone",
    );
    assert.deepEqual(capture?.by.map(renderDecider), ["Pod outside/past metadata.annotations"]);
    assert.ok(!steps.some(({ step }) => step === "route"));
  });

  test("says who is nearest, where that counts", () => {
    const places = ["node-1 a", "node-2 b"].map((text) => {
      const [name, zone] = text.split(" ");
      return `
kind: Node
metadata: { name: ${name}, namespace: "", labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: ${zone} } }
`;
    });
    const ejecting = `
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec: { host: cart, trafficPolicy: { outlierDetection: {} } }
`;
    const world = shopWorld(ejecting, ...places);
    const { branches } = explain(world, { source: "web", destination: "cart" });
    const step = branches[0]?.steps.find(({ step }) => step === "endpoints");
    assert.match(step?.detail ?? "", /; nearest first: 1 in eu\/a, then 1 in eu\/b$/);
  });

  test("has a branch for each weighted subset, with the DestinationRule that defines it", () => {
    const { branches, verdict } = explain(shop, { source: "web", destination: "catalogue" });
    assert.equal(verdict.outcome, "allowed");
    assert.deepEqual(
      branches.map(({ share, candidates, steps }) => [
        share,
        candidates[0]?.pod,
        ...(steps.find(({ step }) => step === "cluster")?.by ?? []).map(renderDecider),
      ]),
      [
        [
          0.9,
          "shop/catalogue-v1-0",
          "VirtualService shop/catalogue spec.http[0].route[0].destination",
          "DestinationRule shop/catalogue spec.subsets[0]",
        ],
        [
          0.1,
          "shop/catalogue-v2-0",
          "VirtualService shop/catalogue spec.http[0].route[1].destination",
          "DestinationRule shop/catalogue spec.subsets[1]",
        ],
      ],
    );
  });

  test("names the AuthorizationPolicy rule that allowed it", () => {
    const question = { source: "web", destination: "payments", path: "/status" };
    assert.deepEqual(deciders(explain(shop, question), "authorization"), [
      "AuthorizationPolicy shop/payments spec.rules[1]",
    ]);
  });
});

describe("a refusal", () => {
  test("by an AuthorizationPolicy is 403, with the rule and the field that were nearest", () => {
    const pay = { source: "web", destination: "payments", method: "POST", path: "/pay" };
    assert.deepEqual(verdict(shop, pay), [
      "refused at authorization, 403",
      "AuthorizationPolicy shop/payments spec.rules",
      "nearest: AuthorizationPolicy shop/payments spec.rules[0]",
      "spec.rules[0].from[0].source.principals: have cluster.local/ns/shop/sa/web, want cluster.local/ns/shop/sa/cart",
    ]);
    const deleting = { source: "cart", destination: "payments", method: "PUT", path: "/pay" };
    assert.deepEqual(verdict(shop, deleting).slice(-1), [
      "spec.rules[0].to[0].operation.methods: have PUT, want POST",
    ]);
  });

  test("by NetworkPolicy names every policy that isolates, and times out", () => {
    assert.deepEqual(verdict(shop, { source: "outsider", destination: "payments.shop" }), [
      "refused at ingress policy, times out (503 UF once the sidecar gives up)",
      "NetworkPolicy shop/default-deny spec.podSelector",
      "NetworkPolicy shop/payments spec.podSelector",
      "nearest: NetworkPolicy shop/payments spec.ingress[0]",
      "spec.ingress[0].from[0].namespaceSelector: have outside, want shop (the policy's own)",
      "spec.ingress[0].from[0].podSelector.matchExpressions[0]: have app=outsider, want app in web, cart",
    ]);
    assert.deepEqual(verdict(shop, { source: "cart", destination: "catalogue" }).slice(0, 1), [
      "refused at egress policy, times out (504 UT once the sidecar gives up)",
    ]);
  });

  test("by default deny says so", () => {
    const { verdict } = explain(shop, { source: "outsider", destination: "database.shop" });
    assert.match(verdict.sentence, /shop\/default-deny \(denies all by default\)/);
  });

  test("of the connection to a pod's other port differs in the port", () => {
    assert.deepEqual(
      verdict(shop, { source: "web", destination: "cart-0", port: 9090 }).slice(-2),
      [
        "nearest: NetworkPolicy shop/web spec.egress[0]",
        "spec.egress[0].ports[0].port: have 9090, want 8080",
      ],
    );
  });

  test("of plain text by STRICT closes the connection, and names the PeerAuthentication", () => {
    const world = shopWorld(plainPod);
    assert.deepEqual(verdict(world, { source: "plain", destination: "web.shop" }), [
      "refused at peer authentication, connection closed",
      "PeerAuthentication shop/default spec.mtls.mode",
      "nearest: PeerAuthentication shop/default spec.mtls.mode",
      "spec.mtls.mode: have STRICT, want PERMISSIVE",
    ]);
  });

  test("of the name is found where egress forbids to ask for it", () => {
    const world = shopWorld(plainPod, mutePolicy);
    assert.deepEqual(verdict(world, { source: "plain", destination: "web.shop" }), [
      "refused at egress policy, no such name",
      "NetworkPolicy outside/mute spec.podSelector",
    ]);
    const byAddress = verdict(world, { source: "plain", destination: "10.244.0.1", port: 8080 });
    assert.deepEqual(byAddress.slice(0, 1), ["refused at egress policy, times out"]);
  });
});

describe("a Service without endpoints", () => {
  const world = shopWorld(plainPod, nobody);

  test("is 503 UH through a sidecar and refused by the kernel, and shows whose labels are nearly right", () => {
    const why = [
      "Service outside/nobody spec.selector",
      "nearest: Service outside/nobody spec.selector",
      "spec.selector.app: have app=outsider (pod outside/outsider-0), want app=nobody",
    ];
    assert.deepEqual(verdict(world, { source: "outsider", destination: "nobody" }), [
      "refused at endpoints, 503 UH",
      ...why,
    ]);
    assert.deepEqual(verdict(world, { source: "plain", destination: "nobody" }), [
      "refused at service, connection refused",
      ...why,
    ]);
  });

  test("whose pods are not ready names them", () => {
    const world = shopWorld(unready);
    assert.deepEqual(verdict(world, { source: "outsider", destination: "slow" }), [
      "refused at endpoints, 503 UH",
      "Service outside/slow",
      "Pod outside/slow-pod status.conditions",
    ]);
  });
});

describe("routes of a VirtualService", () => {
  const world = shopWorld(window);
  const ask = (path: string, more: Partial<Question> = {}) =>
    verdict(world, { source: "outsider", destination: "window", path, ...more });

  test("are named, with why those before them did not take the request", () => {
    const question = { source: "outsider", destination: "window", path: "/tea" };
    const { steps, verdict } = explain(world, question);
    assert.equal(verdict.outcome, "answered");
    const route = steps.find(({ step }) => step === "route");
    assert.deepEqual(route?.by.map(renderDecider), ["VirtualService outside/window spec.http[1]"]);
    const copied = explain(world, { ...question, path: "/copied" });
    assert.match(
      copied.steps.find(({ step }) => step === "route")?.detail ?? "",
      /; 5 % mirrored to outbound\|80\|\|catalogue\.shop\./,
    );
    assert.match(
      route?.detail ?? "",
      /not spec\.http\[0\]\.match\[0\]\.uri: have \/tea, want prefix "\/shop"/,
    );
  });

  test("that take nothing are 404 NR, with the nearest match", () => {
    assert.deepEqual(ask("/shop", { method: "POST" }), [
      "refused at route, 404 NR",
      "VirtualService outside/window spec.http",
      "nearest: VirtualService outside/window spec.http[0]",
      'spec.http[0].match[0].method: have POST, want exact "GET"',
    ]);
  });

  test("to a host that is not there are 503 NC, to a subset that is not there 503 UH", () => {
    assert.deepEqual(ask("/nowhere"), [
      "refused at cluster, 503 NC",
      "VirtualService outside/window spec.http[2]",
    ]);
    assert.deepEqual(ask("/v9"), [
      "refused at endpoints, 503 UH",
      "VirtualService outside/window spec.http[3].route[0].destination",
      "nearest: VirtualService outside/window spec.http[3].route[0].destination",
      "spec.http[3].route[0].destination.subset: have v9, want v1 or v2",
    ]);
  });

  test("are judged with the path that they rewrite to", () => {
    assert.deepEqual(ask("/shop"), ["allowed"]);
    const { branches } = explain(shopWorld(window, noRoot), {
      source: "outsider",
      destination: "window",
      path: "/shop",
    });
    const [branch] = branches;
    assert.equal(branch?.verdict.outcome === "refused" && branch.verdict.at, "authorization");
  });

  test("that inject faults into part of the requests give a mixed verdict", () => {
    const { verdict } = explain(world, {
      source: "outsider",
      destination: "window",
      path: "/fault",
    });
    assert.deepEqual(verdict, {
      outcome: "mixed",
      allowedShare: 0.75,
      sentence: "25 % answered 555, 75 % allowed",
    });
  });
});

describe("a question that cannot be understood", () => {
  test("names the nearest that there is", () => {
    const rows: readonly (readonly [Question, string, RegExp])[] = [
      [{ source: "visitr", destination: "cart" }, "explain.source", /did you mean visitor/],
      [{ source: "nobody", destination: "cart" }, "explain.source", /there are cart, /],
      [{ source: "web", destination: "catalog" }, "explain.destination", /did you mean catalogue/],
      [{ source: "web", destination: "example.org" }, "explain.destination", /give its address/],
      [{ source: "web", destination: "cart", port: 81 }, "explain.port", /it has 80 \(http\)/],
      [{ source: "web", destination: "10.0.0.1" }, "explain.port", /want 10\.0\.0\.1:PORT/],
    ];
    for (const [question, code, message] of rows) {
      assert.throws(() => explain(shop, question), { code, message });
    }
  });
});

describe("a connection over IPv6", () => {
  const pod = (name: string, inject: string, last: string) => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: six, labels: { app: ${name}, sidecar.istio.io/inject: "${inject}" } }
spec: { containers: [{ name: main, image: any }] }
status: { phase: Running, podIP: 10.244.9.${last}, podIPs: [{ ip: 10.244.9.${last} }, { ip: "fd00::${last}" }] }
`;
  const closed = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: closed, namespace: six }
spec: { podSelector: { matchLabels: { app: shut } } }
`;
  const world = shopWorld(
    [pod("a", "false", "1"), pod("b", "false", "2"), pod("shut", "false", "3")].join("---"),
    [pod("meshed", "true", "4"), closed].join("---"),
  );
  // from, to, refused at, what is seen
  const rows = [
    ["six/a", "fd00::2", undefined, undefined],
    ["six/a", "FD00:0:0::2", undefined, undefined],
    ["six/a", "fd00::3", "ingress policy", "times out"],
    ["six/a", "fd00::4", "capture", "connection refused"],
    ["six/meshed", "fd00::2", "capture", "connection refused"],
  ] as const;
  for (const [source, destination, at, seen] of rows) {
    test(`from ${source} to ${destination} ${seen ?? "comes through"}`, () => {
      const { verdict } = explain(world, { source, destination, port: 8080, protocol: "tcp" });
      const refused = verdict.outcome === "refused" ? verdict : undefined;
      assert.deepEqual([refused?.at, refused?.seen.kind], [at, seen]);
    });
  }
});
