/** What is explained of hosts that a ServiceEntry declares, and of those that nobody does. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { shopWorld } from "../../../test/worlds/deployed.ts";
import type { World } from "../registry/world.ts";
import { explain } from "./explain.ts";
import type { Question } from "./explanation.ts";
import { renderSeen } from "./seen.ts";
import { renderDecider } from "./verdict.ts";

const entries = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: bank, namespace: shop }
spec:
  hosts: [bank.example]
  ports:
    - { number: 80, name: http, protocol: HTTP }
    - { number: 443, name: tls, protocol: TLS }
    - { number: 5432, name: sql, protocol: TCP }
  resolution: DNS
status: { addresses: [{ host: bank.example, value: 240.240.3.4 }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: wild, namespace: shop }
spec: { hosts: ["*.wild.example"], ports: [{ number: 80, name: http, protocol: HTTP }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: range, namespace: shop }
spec: { hosts: [range.example], addresses: [198.51.100.0/24], ports: [{ number: 5432, name: sql, protocol: TCP }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: empty, namespace: shop }
spec: { hosts: [empty.example], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: STATIC }
`;
const registryOnly = `
apiVersion: heddle.dev/v1
kind: Network
metadata: { name: default, namespace: "" }
spec: { podCidr: 10.244.0.0/16, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: vxlan, outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
`;
const isolated = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: cart-out, namespace: shop }
spec:
  podSelector: { matchLabels: { app: cart } }
  policyTypes: [Egress]
  egress: [{ to: [{ ipBlock: { cidr: 0.0.0.0/0 } }] }, { ports: [{ port: 53, protocol: UDP }] }]
`;

/** `allowed, to bank.example:80, by …` of all steps that some object decided. */
function ask(
  world: World,
  question: Omit<Question, "source">,
  source = "outside/outsider",
): string {
  const { verdict, steps, branches } = explain(world, { source, ...question });
  const outcome = verdict.outcome === "refused" ? renderSeen(verdict.seen) : verdict.outcome;
  const to = branches.flatMap(({ candidates }) =>
    candidates.map(({ address, port }) => `${address}:${port}`),
  );
  const by = [...steps, ...branches.flatMap((branch) => branch.steps)].flatMap((step) =>
    step.by.map(renderDecider),
  );
  return [outcome, ...to, ...new Set(by)].join("; ");
}

describe("explain says of a host outside", () => {
  const world = shopWorld(entries);
  const table: readonly (readonly [Omit<Question, "source">, string])[] = [
    [
      { destination: "bank.example", port: 80 },
      "allowed; bank.example:80; ServiceEntry shop/bank spec.hosts; ServiceEntry shop/bank spec.ports[0]",
    ],
    [
      { destination: "bank.example", port: 443 },
      "allowed; bank.example:443; ServiceEntry shop/bank spec.hosts; ServiceEntry shop/bank spec.ports[1]",
    ],
    [
      { destination: "bank.example", port: 5432 },
      "allowed; bank.example:5432; ServiceEntry shop/bank spec.hosts; ServiceEntry shop/bank spec.ports[2]",
    ],
    [
      { destination: "240.240.3.4", port: 5432 },
      "allowed; bank.example:5432; ServiceEntry shop/bank spec.hosts; ServiceEntry shop/bank spec.ports[2]",
    ],
    [
      { destination: "a.wild.example" },
      "allowed; a.wild.example:80; ServiceEntry shop/wild spec.hosts; ServiceEntry shop/wild spec.ports[0]; ServiceEntry shop/wild spec.resolution",
    ],
    [
      { destination: "198.51.100.9", port: 5432 },
      "allowed; 198.51.100.9:5432; ServiceEntry shop/range spec.hosts; ServiceEntry shop/range spec.ports[0]; ServiceEntry shop/range spec.resolution",
    ],
    [
      { destination: "empty.example" },
      "503 UH; ServiceEntry shop/empty spec.hosts; ServiceEntry shop/empty spec.ports[0]",
    ],
  ];
  for (const [question, answer] of table) {
    test(`${question.destination}:${question.port ?? ""} that it is ${answer}`, () => {
      assert.equal(ask(world, question), answer);
    });
  }

  test("which ports it has, where another is asked for", () => {
    assert.throws(() => ask(world, { destination: "bank.example", port: 81 }), {
      code: "explain.port",
      message: "no port 81 in ServiceEntry shop/bank: it has 80 (http), 443 (tls), 5432 (sql)",
    });
  });

  test("that NetworkPolicies refuse it, where no rule could let it through", () => {
    const answer = ask(world, { destination: "bank.example", port: 80 }, "shop/cart");
    assert.match(answer, /^times out .*; bank.example:80; .*NetworkPolicy shop\/default-deny/);
  });

  test("that NetworkPolicies decide by an address which is not known here", () => {
    const question = { source: "shop/cart", destination: "bank.example", port: 80 };
    const { branches } = explain(shopWorld(entries, isolated), question);
    const [policy] = branches.flatMap(({ steps }) =>
      steps.filter(({ step }) => step === "egress policy"),
    );
    assert.match(
      policy?.detail ?? "",
      /^the blocks of shop\/cart-out decide, by what bank.example/,
    );
  });
});

describe("where only declared destinations may be called, explain blames the Network", () => {
  const world = shopWorld(entries, registryOnly);
  const table: readonly (readonly [Omit<Question, "source">, string])[] = [
    [
      { destination: "203.0.113.9", port: 80, protocol: "http" },
      "502; Network default spec.outboundTrafficPolicy.mode",
    ],
    [
      { destination: "203.0.113.9", port: 9_999 },
      "connection closed; Network default spec.outboundTrafficPolicy.mode",
    ],
    [
      { destination: "bank.example", port: 80 },
      "allowed; bank.example:80; ServiceEntry shop/bank spec.hosts; ServiceEntry shop/bank spec.ports[0]",
    ],
  ];
  for (const [question, answer] of table) {
    test(`for ${question.destination}:${question.port}`, () => {
      assert.equal(ask(world, question), answer);
    });
  }
});
