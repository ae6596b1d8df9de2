/** What is explained of requests that come by a gateway, and of a gateway's own way to Services. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { meshWorld } from "../../../test/worlds/mesh.ts";
import { explain } from "./explain.ts";
import type { Question } from "./explanation.ts";
import { renderSeen } from "./seen.ts";
import { renderDecider, renderDifference } from "./verdict.ts";

const shop = `
pods:
  edge/gateway-0: { labels: { app: gateway, istio: ingressgateway, inject.istio.io/templates: gateway } }
  shop/web-1: { labels: { app: web } }
services:
  edge/gateway: { ports: { http: 80>8080, https: 443>8443 } }
  shop/web: { ports: { http: 80 } }
`;
const front = `
kind: Gateway
metadata: { name: front }
spec:
  selector: { istio: ingressgateway }
  servers:
    - { port: { number: 80, name: http, protocol: HTTP }, hosts: ["*.example"] }
    - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [secure.example], tls: { mode: SIMPLE, credentialName: cert } }
    - { port: { number: 443, name: broken, protocol: HTTPS }, hosts: [broken.example], tls: { mode: SIMPLE, serverCertificate: /a, privateKey: /b } }
    - { port: { number: 15443, name: tls, protocol: TLS }, hosts: ["*.local"], tls: { mode: AUTO_PASSTHROUGH } }
---
kind: Secret
metadata: { name: cert, namespace: edge }
type: kubernetes.io/tls
data: { tls.crt: Q0VSVA==, tls.key: S0VZ }
---
kind: VirtualService
metadata: { name: web }
spec:
  hosts: [a.example, secure.example]
  gateways: [front]
  http:
    - match: [{ uri: { exact: /tea } }]
      directResponse: { status: 418 }
    - match: [{ uri: { prefix: /shop } }]
      route: [{ destination: { host: web, port: { number: 80 } } }]
---
kind: VirtualService
metadata: { name: any-other }
spec:
  hosts: ["*.other.example"]
  gateways: [front]
  http: [{ redirect: { uri: /any } }]
---
kind: VirtualService
metadata: { name: one-other }
spec:
  hosts: [one.other.example]
  gateways: [front]
  http: [{ match: [{ uri: { prefix: /one } }], redirect: { uri: /one } }]
---
kind: AuthorizationPolicy
metadata: { name: readers }
spec:
  selector: { matchLabels: { app: web } }
  rules: [{ to: [{ operation: { methods: [GET] } }] }]
`;

function ask(question: Omit<Question, "source">): string {
  const { verdict, steps, branches } = explain(meshWorld(shop, front), {
    source: "edge/gateway-0",
    ...question,
  });
  const outcome =
    verdict.outcome === "refused"
      ? `${renderSeen(verdict.seen)} at ${verdict.at}`
      : verdict.outcome === "answered"
        ? verdict.status
        : verdict.outcome;
  const to = branches.flatMap(({ candidates }) => candidates.map(({ pod }) => pod));
  const by = [...steps, ...branches.flatMap((branch) => branch.steps)].flatMap((step) =>
    step.by.map(renderDecider),
  );
  return [outcome, ...to, ...new Set(by)].join("; ");
}

describe("explain, asked with a gateway as the source, says of a client's request", () => {
  const plain = "Gateway shop/front spec.servers[0]";
  const tls = "Gateway shop/front spec.servers[1]";
  const shopRoute =
    "VirtualService shop/web spec.http[1]; VirtualService shop/web spec.http[1].route[0].destination; Service shop/web spec.selector";
  const table: readonly (readonly [Omit<Question, "source">, string])[] = [
    [
      { destination: "a.example", path: "/shop" },
      `allowed; shop/web-1; ${plain}; ${shopRoute}; AuthorizationPolicy shop/readers spec.rules[0]`,
    ],
    [
      { destination: "secure.example", port: 443, path: "/shop" },
      `allowed; shop/web-1; ${tls}; ${shopRoute}; AuthorizationPolicy shop/readers spec.rules[0]`,
    ],
    [
      { destination: "a.example", port: 8080, path: "/tea" },
      `418; ${plain}; VirtualService shop/web spec.http[0]`,
    ],
    [
      { destination: "a.example", path: "/shop", method: "POST" },
      `403 at authorization; shop/web-1; ${plain}; ${shopRoute}; AuthorizationPolicy shop/readers spec.rules`,
    ],
    [
      { destination: "a.example", path: "/" },
      `404 NR at route; ${plain}; VirtualService shop/web spec.http`,
    ],
    // Two take the host, and the one with the narrower name has it.
    [
      { destination: "one.other.example", path: "/two" },
      `404 NR at route; ${plain}; VirtualService shop/one-other spec.http`,
    ],
    [{ destination: "b.example" }, `404 NR at route; ${plain}`],
    [
      { destination: "broken.example", port: 443 },
      "connection closed at listener; Gateway shop/front spec.servers[2]",
    ],
    [
      { destination: "outbound_.80_._.web.shop.svc.cluster.local" },
      "allowed; shop/web-1; Gateway shop/front spec.servers[3]; Service shop/web spec.selector",
    ],
    [
      { destination: "outbound_.81_._.web.shop.svc.cluster.local" },
      "connection closed at listener; Gateway shop/front spec.servers[3]",
    ],
  ];
  for (const [question, answer] of table) {
    const { method = "GET", destination, port = "", path = "" } = question;
    test(`${method} ${destination}:${port}${path} that it is ${answer}`, () => {
      assert.equal(ask(question), answer);
    });
  }

  test("by which Gateway it came, where a rule is for another", () => {
    const elsewhere = front.replace("uri: { exact: /tea }", "gateways: [back]");
    const asked = { source: "edge/gateway-0", destination: "a.example", path: "/" };
    const { verdict } = explain(meshWorld(shop, elsewhere), asked);
    assert.ok(verdict.outcome === "refused");
    assert.deepEqual(verdict.nearest?.differences.map(renderDifference), [
      "spec.http[0].match[0].gateways: have shop/front, want shop/back",
    ]);
  });

  test("on which ports it is taken, where it is not on the one that is asked for", () => {
    assert.throws(() => ask({ destination: "secure.example", port: 9000 }), {
      code: "explain.port",
      message:
        "gateway edge/gateway-0 does not take secure.example on port 9000: it does on 80, 443",
    });
  });
});

test("a gateway's own way to a Service is its cluster, whatever route leads there", () => {
  assert.equal(
    ask({ destination: "web.shop", path: "/" }),
    "allowed; shop/web-1; Service shop/web spec.clusterIP; Service shop/web spec.selector; AuthorizationPolicy shop/readers spec.rules[0]",
  );
  assert.throws(() => ask({ destination: "203.0.113.1", port: 80 }), {
    code: "explain.destination",
    message: 'gateway edge/gateway-0 takes no requests for "203.0.113.1", and calls Services only',
  });
});
