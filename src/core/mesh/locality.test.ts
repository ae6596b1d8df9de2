/** Which endpoints a client tries first, by where both are. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld, proxyOf } from "../../../test/worlds/mesh.ts";
import { applyToWorld, type World } from "../registry/world.ts";
import { compileProxy } from "./compile-proxy.ts";

/** One pod of `cart` in each of four places; `web` is in eu/a, in the sub-zone r1. */
const shop = `
  pods:
    shop/web: { node: n1 }
    shop/cart-near: { node: n1, labels: { app: cart, version: v1 } }
    shop/cart-zone: { node: n2, labels: { app: cart, version: v2 } }
    shop/cart-region: { node: n3, labels: { app: cart, version: v1 } }
    shop/cart-us: { node: n4, labels: { app: cart, version: v2 } }
    shop/cart-asia: { node: n5, labels: { app: cart, version: v2 } }
  services:
    shop/cart: { ports: { http: 80 } }
`;
const places: Readonly<Record<string, string>> = {
  n1: "eu/a/r1",
  n2: "eu/a/r2",
  n3: "eu/b/r1",
  n4: "us/a/r1",
  n5: "asia/a/r1",
};
const nodes = Object.entries(places).map(([name, place]) => nodeAt(name, place));

function nodeAt(name: string, place: string): string {
  const [region, zone, subZone] = place.split("/");
  return `
kind: Node
metadata:
  name: ${name}
  namespace: ""
  labels:
    topology.kubernetes.io/region: ${region}
    topology.kubernetes.io/zone: ${zone}
    topology.istio.io/subzone: ${subZone}
`;
}

function ruleWith(trafficPolicy: string): string {
  return `
kind: DestinationRule
metadata: { name: cart }
spec: { host: cart, trafficPolicy: ${trafficPolicy} }
`;
}

function policyWith(localityLbSetting: string): string {
  return `{ outlierDetection: {}, loadBalancer: { localityLbSetting: ${localityLbSetting} } }`;
}

/** `near zone | region | us asia`: who is in which priority; with shares where localities have them. */
function order(world: World, from = "shop/web"): string {
  const { endpoints } = compileFor(world, from).value;
  const cart = endpoints.find(({ cluster }) => cluster.startsWith("outbound|80||cart"));
  const names = ["near", "zone", "region", "us", "asia"];
  const levels = Map.groupBy(cart?.endpoints ?? [], ({ priority = 0 }) => priority);
  return [...levels.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, members]) =>
      members
        .map(({ address, localityWeight }) => {
          const name = names[Number(address.split(".")[3]) - 2] ?? address;
          return localityWeight === undefined ? name : `${name}:${localityWeight}`;
        })
        .join(" "),
    )
    .join(" | ");
}

describe("the endpoints of a Service", () => {
  const unordered = "near zone region us asia";
  const table: readonly (readonly [what: string, policy: string, order: string])[] = [
    ["without outlier detection have no order", "{}", unordered],
    [
      "with outlier detection come by nearness",
      "{ outlierDetection: {} }",
      "near | zone | region | asia us",
    ],
    [
      "with outlier detection at their port alone come by nearness",
      "{ portLevelSettings: [{ port: { number: 80 }, outlierDetection: {} }] }",
      "near | zone | region | asia us",
    ],
    ["come in no order where locality is disabled", policyWith("{ enabled: false }"), unordered],
    [
      "of the region that stands in come before other regions",
      policyWith("{ failover: [{ from: eu, to: us }] }"),
      "near | zone | region | us | asia",
    ],
    [
      "come by labels in order, a value standing in for the client's",
      policyWith("{ failoverPriority: [version=v2, topology.kubernetes.io/region] }"),
      "zone | asia us | near region",
    ],
    [
      "get the shares of their localities, and those without a share nothing",
      policyWith("{ distribute: [{ from: eu/a/*, to: { eu/a/*: 70, us: 30 } }] }"),
      "near:35 zone:35 us:30",
    ],
    [
      "have no order where no rule is for the client's place",
      policyWith("{ distribute: [{ from: us/*, to: { us/*: 100 } }] }"),
      unordered,
    ],
  ];
  for (const [what, policy, wanted] of table) {
    test(what, () => {
      assert.equal(order(meshWorld(shop, ruleWith(policy), ...nodes)), wanted);
    });
  }

  test("come by nearness where the Service's trafficDistribution says so", () => {
    const close = shop.replace("http: 80 }", "http: 80 }, trafficDistribution: PreferClose");
    assert.equal(order(meshWorld(close, ...nodes)), "near | zone | region | asia us");
    const zone = shop.replace("http: 80 }", "http: 80 }, trafficDistribution: PreferSameZone");
    assert.equal(order(meshWorld(zone, ...nodes)), "near zone | region | asia us");
  });

  test("are ordered for each client from where it is", () => {
    const world = meshWorld(shop, ruleWith("{ outlierDetection: {} }"), ...nodes);
    assert.equal(order(world, "shop/cart-us"), "us | asia near zone region");
    assert.equal(order(world, "shop/web"), "near | zone | region | asia us");
  });

  test("tell where they are, and the cluster that shares count", () => {
    const shares = policyWith("{ distribute: [{ from: eu/*, to: { eu/*: 99, us: 1 } }] }");
    const { clusters, endpoints } = compileFor(
      meshWorld(shop, ruleWith(shares), ...nodes),
      "shop/web",
    ).value;
    const cluster = clusters.find(({ name }) => name.startsWith("outbound|80||cart"));
    assert.equal(cluster?.isLocalityWeighted, true);
    const [first] = endpoints.find((one) => one.cluster === cluster?.name)?.endpoints ?? [];
    assert.deepEqual(first?.locality, { region: "eu", zone: "a", subZone: "r1" });
  });

  test("are the very ones of before when nodes change and do not move, or nobody asks where they are", () => {
    for (const policy of ["{}", "{ outlierDetection: {} }"]) {
      const world = meshWorld(shop, ruleWith(policy), ...nodes);
      const before = compileFor(world, "shop/web").value.endpoints;
      const object = [...(world.objects.get("Node")?.values() ?? [])][0];
      assert.ok(object !== undefined);
      const change = { type: "modified", version: 2, object: { ...object } } as const;
      const later = applyToWorld(world, [change]);
      const after = compileProxy(later, proxyOf(later, "shop/web")).value.endpoints;
      assert.ok(
        after.every((one, index) => one === before[index]),
        policy,
      );
    }
  });
});
