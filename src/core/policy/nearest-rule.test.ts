/** The nearest rule, held to the evaluator: what it says is different is, and nothing else. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { arbitraryWorld, podsOf, testWorld } from "../../../test/worlds/policy.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { type ConnectionEnd, evaluatePolicy } from "./evaluate.ts";
import { nearestRule } from "./nearest-rule.ts";

describe("the nearest rule", () => {
  test("differs in something exactly where no rule allows", () => {
    fc.assert(
      fc.property(arbitraryWorld, fc.constantFrom(80, 8080, 53), (world, port) => {
        const ends = podsOf(world).map(
          (pod): ConnectionEnd => ({
            kind: "pod",
            namespace: namespaceOf(pod),
            name: pod.metadata.name,
          }),
        );
        const outside: ConnectionEnd = { kind: "address", address: "203.0.113.7" };
        for (const from of [...ends, outside]) {
          for (const to of [...ends, outside]) {
            const evaluation = evaluatePolicy(world, from, to, "TCP", port);
            for (const direction of ["Ingress", "Egress"] as const) {
              const outcome = direction === "Ingress" ? evaluation.ingress : evaluation.egress;
              if (outcome.isolatedBy.length === 0) continue;
              const miss = nearestRule(world, { direction, from, to, protocol: "TCP", port });
              if (outcome.allowedBy === undefined) {
                assert.notEqual(miss?.differences.length, 0);
              } else if (miss?.differences.length !== 0) {
                // Only a rule that is for names stands behind others although it allows.
                assert.equal(port, 53);
              }
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("prefers policies that hold for the pod, then the fewest differences, and rules for names last", () => {
    const world = testWorld(`
      pods: { x/client: { app: client }, x/server: { app: server } }
      policies:
        x/deny: { podSelector: {}, policyTypes: [Ingress, Egress] }
        x/names: { podSelector: {}, policyTypes: [Egress], egress: [{ ports: [{ protocol: UDP, port: 53 }] }] }
        x/others: { podSelector: { matchLabels: { app: other } }, ingress: [{ ports: [{ port: 80 }] }] }
        x/server:
          podSelector: { matchLabels: { app: server } }
          ingress:
            - { from: [{ podSelector: { matchLabels: { app: else, tier: a } } }], ports: [{ port: 80 }] }
            - { from: [{ podSelector: { matchLabels: { app: front } } }], ports: [{ port: 80 }] }
    `);
    const from: ConnectionEnd = { kind: "pod", namespace: "x", name: "client" };
    const to: ConnectionEnd = { kind: "pod", namespace: "x", name: "server" };
    const question = { from, to, protocol: "TCP" as const, port: 80 };
    assert.deepEqual(nearestRule(world, { direction: "Ingress", ...question }), {
      policy: "x/server",
      path: "spec.ingress[1]",
      differences: [
        {
          path: "spec.ingress[1].from[0].podSelector.matchLabels.app",
          have: "app=client",
          want: "app=front",
        },
      ],
    });
    assert.equal(nearestRule(world, { direction: "Egress", ...question })?.policy, "x/names");
  });
});
