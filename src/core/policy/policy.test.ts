/** What compiled policy allows is what the specification allows, on any world. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import {
  arbitraryWorld,
  nodeAddress,
  outsideAddresses,
  podsOf,
  testWorld,
} from "../../../test/worlds/policy.ts";
import { viewFor } from "../registry/view.ts";
import { nodeDnsPod } from "../registry/workloads.ts";
import type { World } from "../registry/world.ts";
import { compilePolicies } from "./compile.ts";
import { type ConnectionEnd, evaluatePolicy } from "./evaluate.ts";
import { interpretPolicies, type TransportProtocol } from "./interpret.ts";

describe("compiled network policy", () => {
  test("gives every connection of every world the verdict of the specification", () => {
    let connections = 0;
    fc.assert(
      fc.property(arbitraryWorld, (world) => {
        for (const { from, to, protocol, port } of probes(world)) {
          const expected = evaluatePolicy(world, from, to, protocol, port);
          const actual = interpret(world, from, to, protocol, port);
          const what = `${JSON.stringify(from)} → ${JSON.stringify(to)} ${protocol}/${port}`;
          assert.equal(actual.verdict, expected.verdict, what);
          if (expected.exempt === undefined) {
            assert.deepEqual(actual.egress.isolatedBy, expected.egress.isolatedBy, what);
            assert.deepEqual(actual.ingress.isolatedBy, expected.ingress.isolatedBy, what);
          }
          connections++;
        }
      }),
      { seed: 20240607, numRuns: 300 },
    );
    assert.ok(connections > 50_000, `${connections} connections compared`);
  });

  test("gives pods one identity exactly when no policy can tell them apart", () => {
    const world = testWorld(`
      pods:
        shop/a: { app: web, revision: "1" }
        shop/b: { app: web, revision: "2" }
        shop/c: { app: cart }
        other/d: { app: web }
        third/e: { app: web }
      policies:
        shop/web: { podSelector: { matchLabels: { app: web } } }
    `);
    const { identities } = compilePolicies(world);
    const of = (pod: string) => identities.get(pod);
    assert.equal(of("shop/a"), of("shop/b"), "revision is asked by no policy");
    assert.notEqual(of("shop/a"), of("shop/c"));
    assert.notEqual(of("shop/a"), of("other/d"), "the policy is about namespace shop");
    assert.equal(of("other/d"), of("third/e"), "neither namespace has a policy");
  });

  test("gives the same identities whatever other pods come and go", () => {
    const policies = `policies: { shop/web: { podSelector: { matchLabels: { app: web } } } }`;
    const small = testWorld(`pods: { shop/a: { app: web } }\n${policies}`);
    const large = testWorld(
      `pods: { shop/0: { app: x }, shop/a: { app: web }, z/z: { app: y } }\n${policies}`,
    );
    assert.equal(
      compilePolicies(small).identities.get("shop/a"),
      compilePolicies(large).identities.get("shop/a"),
    );
  });

  test("never isolates where no policy selects", () => {
    assert.deepEqual(compilePolicies(testWorld("pods: { shop/a: { app: web } }")).policies, []);
  });

  test("knows the nodes' DNS server as a kube-dns pod", () => {
    const world = testWorld(`
      pods: { shop/a: { app: web } }
      policies:
        shop/dns-only:
          podSelector: {}
          policyTypes: [Egress]
          egress:
            - to: [{ namespaceSelector: {}, podSelector: { matchLabels: { k8s-app: kube-dns } } }]
              ports: [{ protocol: UDP, port: 53 }]
    `);
    const dns: ConnectionEnd = { kind: "address", address: "169.254.1.1" };
    const web: ConnectionEnd = { kind: "pod", namespace: "shop", name: "a" };
    assert.equal(evaluatePolicy(world, web, dns, "UDP", 53).verdict, "allow");
    assert.equal(interpret(world, web, dns, "UDP", 53).verdict, "allow");
    assert.equal(interpret(world, web, dns, "UDP", 54).verdict, "deny");
    assert.ok(viewFor(world, "node-1").workloads.some(({ name }) => name === "node-dns"));
  });
});

/** The compiled form's answer, with the two rules that are the data plane's and not a policy's. */
function interpret(
  world: World,
  from: ConnectionEnd,
  to: ConnectionEnd,
  protocol: TransportProtocol,
  port: number,
) {
  const { identities, policies } = compilePolicies(world);
  const byIdentity = new Map(policies.map((policy) => [policy.identity, policy]));
  const endOf = (end: ConnectionEnd) => {
    const pods = [...podsOf(world), nodeDnsPod];
    const pod = pods.find((each) =>
      end.kind === "pod"
        ? each.metadata.namespace === end.namespace && each.metadata.name === end.name
        : each.status?.podIP === end.address,
    );
    if (pod === undefined)
      return { address: end.kind === "address" ? end.address : "", identity: 0 };
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    return { address: pod.status?.podIP ?? "", identity: identities.get(key) ?? 0 };
  };
  const result = interpretPolicies(byIdentity, endOf(from), endOf(to), protocol, port);
  const fromOwnNode = from.kind === "address" && from.address === nodeAddress && to.kind === "pod";
  if (fromOwnNode) return { ...result, verdict: "allow" as const };
  // The node's DNS server has no link of ours that an ingress policy could be asked at.
  if (to.kind === "address" && to.address === nodeDnsPod.status?.podIP) {
    const { egress } = result;
    const open = egress.isolatedBy.length === 0 || egress.allowedBy !== undefined;
    return {
      verdict: open ? ("allow" as const) : ("deny" as const),
      egress,
      ingress: { isolatedBy: [] },
    };
  }
  return result;
}

function* probes(world: World) {
  const pods = podsOf(world).map(
    ({ metadata }): ConnectionEnd => ({
      kind: "pod",
      namespace: metadata.namespace ?? "",
      name: metadata.name,
    }),
  );
  const outside = [...outsideAddresses, nodeAddress].map(
    (address): ConnectionEnd => ({ kind: "address", address }),
  );
  const dns: ConnectionEnd = { kind: "address", address: "169.254.1.1" };
  const ports = [
    ["TCP", 80],
    ["TCP", 8080],
    ["TCP", 8085],
    ["UDP", 53],
    ["ICMP", 0],
  ] as const;
  for (const [protocol, port] of ports) {
    for (const from of pods) {
      for (const to of [...pods, ...outside, dns]) yield { from, to, protocol, port };
    }
    for (const from of outside) for (const to of pods) yield { from, to, protocol, port };
  }
}
