/** What sidecars know of the mesh where Istio's kind Sidecar narrows it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import type { Sidecar } from "../../api/istio/sidecar.ts";
import { explain } from "../explain/explain.ts";
import { applyToWorld, objectsOf, type World } from "../registry/world.ts";
import { walkOutbound } from "./walk.ts";

const shop = `
pods:
  shop/web: {}
  shop/cart: {}
  bank/ledger: {}
  bank/vault: {}
services:
  shop/cart: { ports: { http: 80, tcp-raw: 9000 } }
  bank/ledger: { ports: { http: 80 } }
  bank/vault: { ports: { http: 8080 } }
`;
const addresses: Readonly<Record<string, string>> = {
  cart: "10.96.0.1",
  ledger: "10.96.0.2",
  vault: "10.96.0.3",
};

const sidecar = (spec: string, more = ""): string => `
kind: Sidecar
metadata: { name: default${more} }
spec: ${spec}
`;

/** `cart ledger`: the hosts that web knows on port 80, by their first label. */
function known(world: World, pod = "shop/web"): string {
  const { value } = compileFor(world, pod);
  const hosts = value.routes
    .filter(({ name }) => name === "80" || name === "8080")
    .flatMap(({ virtualHosts }) => virtualHosts.map(({ name }) => name.split(".")[0]));
  return hosts
    .filter((host) => host !== "allow_any" && host !== "block_all")
    .sort()
    .join(" ");
}

function clusters(world: World): readonly string[] {
  return compileFor(world, "shop/web").value.clusters.flatMap(({ name }) =>
    name.startsWith("outbound|") ? [name.replace(".svc.cluster.local", "")] : [],
  );
}

function call(world: World, to: string, port = 80): string {
  const { value } = compileFor(world, "shop/web");
  const host = to === "cart" ? "cart" : `${to}.bank`;
  const walk = walkOutbound(value, { address: addresses[to] ?? "", port, http: { host } });
  return walk.destinations[0]?.cluster.split(".")[0] ?? `${walk.route?.action.kind}`;
}

describe("a Sidecar", () => {
  const admissions: readonly (readonly [hosts: string, known: string])[] = [
    ['["*/*"]', "cart ledger vault"],
    ['["./*"]', "cart"],
    ['["shop/*"]', "cart"],
    ['["bank/*"]', "ledger vault"],
    ['["bank/ledger.bank.svc.cluster.local"]', "ledger"],
    ['["*/*.bank.svc.cluster.local"]', "ledger vault"],
    ['["shop/ledger.bank.svc.cluster.local"]', ""], // nobody's of that namespace
    ['["~/*"]', ""],
    ['["*/*", "~bank/*"]', "cart"],
    ['["*/*", "~/vault.bank.svc.cluster.local"]', "cart ledger"],
  ];
  for (const [hosts, expected] of admissions) {
    test(`with hosts ${hosts} knows ${expected || "nothing"}`, () => {
      assert.equal(known(meshWorld(shop, sidecar(`{ egress: [{ hosts: ${hosts} }] }`))), expected);
    });
  }

  test("leaves its hosts as the mesh has them, and all others as unknown destinations are", () => {
    const world = meshWorld(shop, sidecar('{ egress: [{ hosts: ["./*"] }] }'));
    assert.equal(call(world, "cart"), "outbound|80||cart");
    assert.equal(call(world, "ledger"), "PassthroughCluster");
    assert.deepEqual(clusters(world), ["outbound|80||cart.shop", "outbound|9000||cart.shop"]);
  });

  test("says by itself what becomes of unknown destinations; without a mode they are refused", () => {
    const mode = (policy: string) =>
      sidecar(`{ egress: [{ hosts: ["./*"] }], outboundTrafficPolicy: ${policy} }`);
    assert.equal(
      call(meshWorld(shop, mode("{ mode: ALLOW_ANY }")), "ledger"),
      "PassthroughCluster",
    );
    assert.equal(call(meshWorld(shop, mode("{ mode: REGISTRY_ONLY }")), "ledger"), "respond");
    assert.equal(call(meshWorld(shop, mode("{}")), "ledger"), "respond");
    const alone = sidecar("{ outboundTrafficPolicy: { mode: REGISTRY_ONLY } }");
    assert.equal(known(meshWorld(shop, alone)), "cart ledger vault");
  });

  test("with a port says what is known there, and an entry without one what is at all others", () => {
    const entries =
      '[{ port: { number: 80, protocol: HTTP, name: a }, hosts: ["shop/*"] }, { hosts: ["bank/*"] }]';
    const world = meshWorld(shop, sidecar(`{ egress: ${entries} }`));
    assert.equal(known(world), "cart vault");
    assert.deepEqual(clusters(world), ["outbound|8080||vault.bank", "outbound|80||cart.shop"]);
  });

  test("admits VirtualServices by their own namespace, and whatever those lead to", () => {
    const rules = (namespace: string) => `
kind: VirtualService
metadata: { name: cart, namespace: ${namespace} }
spec:
  hosts: [cart.shop.svc.cluster.local]
  http: [{ route: [{ destination: { host: ledger.bank.svc.cluster.local, port: { number: 80 } } }] }]
`;
    const only = sidecar('{ egress: [{ hosts: ["./*"] }] }');
    assert.equal(call(meshWorld(shop, only, rules("bank")), "cart"), "outbound|80||cart");
    const world = meshWorld(shop, only, rules("shop"));
    assert.equal(call(world, "cart"), "outbound|80||ledger");
    assert.ok(clusters(world).includes("outbound|80||ledger.bank"));
    assert.equal(call(world, "ledger"), "PassthroughCluster"); // reached by the rule only
  });

  test("of the pod's labels comes before that of its namespace, and that before the root namespace's", () => {
    const mine = sidecar(
      '{ workloadSelector: { labels: { app: web } }, egress: [{ hosts: ["~/*"] }] }',
      "-web",
    );
    const others = sidecar(
      '{ workloadSelector: { labels: { app: other } }, egress: [{ hosts: ["*/*"] }] }',
      "-other",
    );
    const space = sidecar('{ egress: [{ hosts: ["./*"] }] }');
    const root = sidecar('{ egress: [{ hosts: ["bank/*"] }] }', ", namespace: istio-system");
    assert.equal(known(meshWorld(shop, root, space, others, mine)), "");
    assert.equal(known(meshWorld(shop, root, space, others)), "cart");
    assert.equal(known(meshWorld(shop, root, others)), "ledger vault");
    assert.equal(known(meshWorld(shop, root, space, others), "shop/cart"), "cart");
    assert.equal(known(meshWorld(shop, space, others), "bank/vault"), "cart ledger vault");
    const own = sidecar('{ egress: [{ hosts: ["./*"] }] }', ", namespace: istio-system");
    assert.equal(known(meshWorld(shop, own), "bank/vault"), "ledger vault"); // the pod's own
  });

  test("that changes is in force, whatever of the world stays as it is", () => {
    const world = meshWorld(shop, sidecar('{ egress: [{ hosts: ["./*"] }] }'));
    assert.equal(known(world), "cart");
    const [object] = objectsOf<Sidecar>(world, "Sidecar");
    assert.ok(object !== undefined);
    const without = applyToWorld(world, [{ type: "deleted", version: 99, object }]);
    assert.equal(known(without), "cart ledger vault");
  });

  test("is told what of it is not done", () => {
    const spec = `
  egress: [{ hosts: ["./*"], captureMode: NONE }]
  ingress: [{ port: { number: 7070, protocol: HTTP, name: http }, defaultEndpoint: 127.0.0.1:8080 }]
  outboundTrafficPolicy: { mode: ALLOW_ANY, egressProxy: { host: proxy.example, port: { number: 80 } } }
`;
    const { diagnostics } = compileFor(meshWorld(shop, sidecar(spec)), "shop/web");
    assert.deepEqual(
      diagnostics.map(({ code, where }) => `${code} ${where}`),
      [
        "HEDDLE0114 Sidecar shop/default spec.egress[0].captureMode",
        "HEDDLE0114 Sidecar shop/default spec.ingress",
        "HEDDLE0114 Sidecar shop/default spec.outboundTrafficPolicy.egressProxy",
      ],
    );
  });

  test("is named by explain where it keeps a destination out", () => {
    const ask = (policy: string, destination: string, port: number) => {
      const world = meshWorld(shop, sidecar(`{ egress: [{ hosts: ["~/*"] }]${policy} }`));
      const { verdict, steps, branches } = explain(world, {
        source: "shop/web",
        destination,
        port,
      });
      const deciders = [...steps, ...branches.flatMap((branch) => branch.steps)].flatMap(
        ({ by }) => by,
      );
      const named = deciders.filter(({ kind }) => kind === "Sidecar");
      return [verdict.outcome, ...new Set(named.map(({ path }) => path))].join(" ");
    };
    assert.equal(ask("", "ledger.bank", 80), "allowed spec.egress");
    assert.equal(ask("", "cart", 9000), "allowed spec.egress");
    const strict = ", outboundTrafficPolicy: { mode: REGISTRY_ONLY }";
    assert.equal(ask(strict, "cart", 9000), "refused spec.egress spec.outboundTrafficPolicy.mode");
  });
});
