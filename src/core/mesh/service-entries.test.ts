/** Where connections go to hosts that a ServiceEntry declares, told apart as Istio tells them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import type { World } from "../registry/world.ts";
import { type OutboundRequest, walkOutbound } from "./walk.ts";

const shop = `
  pods:
    shop/web: {}
    shop/vm-like: { labels: { app: ledger } }
    other/guest: {}
  services:
    shop/cart: { ports: { http: 80 } }
`;

const entry = (name: string, spec: string, more = ""): string => `
kind: ServiceEntry
metadata: { name: ${name} }
spec: ${spec}
${more}
`;
const given = (host: string, value: string): string =>
  `status: { addresses: [{ host: ${host}, value: ${value} }] }`;
const network = `
kind: Network
metadata: { name: default, namespace: "" }
spec: { podCidr: 10.244.0.0/16, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: none, outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
`;

type Asked = OutboundRequest | string;

/** `80|| api.example → 192.0.2.1:80`: cluster, endpoints; `original`: where it wanted to go. */
function ask(world: World, request: Asked, from = "shop/web"): string {
  const { value } = compileFor(world, from);
  const walk = walkOutbound(
    value,
    typeof request === "string"
      ? { address: "203.0.113.9", port: 80, http: { host: request } }
      : request,
  );
  const { action } = walk.route ?? {};
  if (action?.kind === "respond") return `${action.status} ${walk.route?.name}`;
  return walk.destinations
    .map(({ cluster, endpoints }) => {
      const [, port, subset, host] = cluster.split("|");
      const name = host === undefined ? cluster : `${port}|${subset}| ${host}`;
      const to = endpoints?.map((one) => `${one.address}:${one.port}${one.tls ? " tls" : ""}`);
      return `${name} → ${to === undefined ? "original" : to.join(", ") || "nobody"}`;
    })
    .join("; ");
}

const at = (
  address: string,
  port: number,
  more: Partial<OutboundRequest> = {},
): OutboundRequest => ({
  address,
  port,
  ...more,
});

describe("a ServiceEntry", () => {
  const http = "ports: [{ number: 80, name: http, protocol: HTTP }]";
  const tls = "ports: [{ number: 443, name: tls, protocol: TLS }]";
  const tcp = "ports: [{ number: 5432, name: sql, protocol: TCP }]";

  const table: readonly (readonly [title: string, spec: string, asked: Asked, answer: string])[] = [
    [
      "of names sends HTTP of its host to what the name leads to",
      `{ hosts: [api.example], ${http}, resolution: DNS }`,
      "api.example",
      "80|| api.example → api.example:80",
    ],
    [
      "is known by its host with the port, too",
      `{ hosts: [api.example], ${http}, resolution: DNS }`,
      "api.example:80",
      "80|| api.example → api.example:80",
    ],
    [
      "with endpoints that are names looks those up, on their own ports",
      `{ hosts: [api.example], ${http}, resolution: DNS, endpoints: [{ address: eu.example, ports: { http: 8080 } }, { address: 192.0.2.1 }] }`,
      "api.example",
      "80|| api.example → eu.example:8080, 192.0.2.1:80",
    ],
    [
      "has its target port where an endpoint says none",
      "{ hosts: [api.example], ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }], resolution: STATIC, endpoints: [{ address: 192.0.2.1 }] }",
      "api.example",
      "80|| api.example → 192.0.2.1:8080",
    ],
    [
      "without a resolution goes where the application wants to go",
      `{ hosts: ["*.example"], ${http} }`,
      "any.example",
      "80|| *.example → original",
    ],
    [
      "tells TLS by the name that it asks for",
      `{ hosts: [api.example], ${tls}, resolution: DNS }`,
      at("203.0.113.9", 443, { serverName: "api.example" }),
      "443|| api.example → api.example:443",
    ],
    [
      "has nothing to do with TLS to others",
      `{ hosts: [api.example], ${tls}, resolution: DNS }`,
      at("203.0.113.9", 443, { serverName: "else.example" }),
      "PassthroughCluster → original",
    ],
    [
      "tells TLS by a wildcard",
      `{ hosts: ["*.example"], ${tls} }`,
      at("203.0.113.9", 443, { serverName: "a.b.example" }),
      "443|| *.example → original",
    ],
    [
      "tells TCP by its address",
      `{ hosts: [db.example], addresses: [198.51.100.7], ${tcp}, resolution: STATIC, endpoints: [{ address: 192.0.2.5 }] }`,
      at("198.51.100.7", 5432),
      "5432|| db.example → 192.0.2.5:5432",
    ],
    [
      "leaves TCP to other addresses alone",
      `{ hosts: [db.example], addresses: [198.51.100.7], ${tcp}, resolution: STATIC, endpoints: [{ address: 192.0.2.5 }] }`,
      at("198.51.100.8", 5432),
      "PassthroughCluster → original",
    ],
    [
      "tells TCP by a range",
      `{ hosts: [db.example], addresses: [198.51.100.0/24], ${tcp} }`,
      at("198.51.100.8", 5432),
      "5432|| db.example → original",
    ],
    [
      "leaves TCP outside of its range alone",
      `{ hosts: [db.example], addresses: [198.51.100.0/24], ${tcp} }`,
      at("198.51.101.8", 5432),
      "PassthroughCluster → original",
    ],
    [
      "without an address takes all TCP of its port",
      `{ hosts: [db.example], ${tcp}, resolution: STATIC, endpoints: [{ address: 192.0.2.5 }] }`,
      at("203.0.113.9", 5432),
      "5432|| db.example → 192.0.2.5:5432",
    ],
    [
      "is found by an address as HTTP's host",
      `{ hosts: [api.example], addresses: [198.51.100.7], ${http}, resolution: STATIC, endpoints: [{ address: 192.0.2.5 }] }`,
      "198.51.100.7",
      "80|| api.example → 192.0.2.5:80",
    ],
    [
      "selects pods and WorkloadEntries of its namespace",
      `{ hosts: [ledger.example], location: MESH_INTERNAL, ${http}, resolution: STATIC, workloadSelector: { labels: { app: ledger } } }`,
      "ledger.example",
      "80|| ledger.example → 10.244.0.2:80 tls, 192.0.2.77:80, 192.0.2.78:80 tls",
    ],
  ];
  const machines = `
kind: WorkloadEntry
metadata: { name: plain }
spec: { address: 192.0.2.77, labels: { app: ledger } }
---
kind: WorkloadEntry
metadata: { name: proxied, labels: { app: ledger, security.istio.io/tlsMode: istio } }
spec: { address: 192.0.2.78, serviceAccount: ledger }
---
kind: WorkloadEntry
metadata: { name: elsewhere, namespace: other }
spec: { address: 192.0.2.79, labels: { app: ledger } }
`;
  for (const [title, spec, asked, answer] of table) {
    test(title, () => {
      assert.equal(ask(meshWorld(shop, entry("it", spec), machines), asked), answer);
    });
  }

  test("outside of the mesh is never spoken to in mesh TLS, also where an endpoint's labels say so", () => {
    const spec = `{ hosts: [ledger.example], ${http}, resolution: STATIC, workloadSelector: { labels: { app: ledger } } }`;
    const world = meshWorld(shop, entry("it", spec), machines);
    assert.equal(
      ask(world, "ledger.example"),
      "80|| ledger.example → 10.244.0.2:80, 192.0.2.77:80, 192.0.2.78:80",
    );
  });

  test("of two hosts on one TCP port tells them apart by the addresses that they were given", () => {
    const world = meshWorld(
      shop,
      entry(
        "a",
        `{ hosts: [a.example], ${tcp}, resolution: DNS }`,
        given("a.example", "240.240.0.1"),
      ),
      entry(
        "b",
        `{ hosts: [b.example], ${tcp}, resolution: DNS }`,
        given("b.example", "240.240.0.2"),
      ),
    );
    assert.equal(ask(world, at("240.240.0.1", 5432)), "5432|| a.example → a.example:5432");
    assert.equal(ask(world, at("240.240.0.2", 5432)), "5432|| b.example → b.example:5432");
    assert.equal(ask(world, at("203.0.113.9", 5432)), "PassthroughCluster → original");
  });

  test("with an address that it was given tells TLS to others by its name still", () => {
    const spec = `{ hosts: [a.example], ${tls}, resolution: DNS }`;
    const world = meshWorld(shop, entry("a", spec, given("a.example", "240.240.0.1")));
    const answer = "443|| a.example → a.example:443";
    for (const address of ["240.240.0.1", "203.0.113.9"]) {
      assert.equal(ask(world, at(address, 443, { serverName: "a.example" })), answer);
    }
    const opaque = at("203.0.113.9", 443);
    assert.equal(ask(world, opaque), "PassthroughCluster → original");
  });

  test("of a host may have some of its ports, and another of the namespace the others", () => {
    const two =
      "ports: [{ number: 80, name: web, protocol: HTTP }, { number: 81, name: http, protocol: HTTP }]";
    const world = meshWorld(
      shop,
      entry("a", `{ hosts: [a.example], ${http}, resolution: DNS }`),
      entry(
        "b",
        `{ hosts: [A.example.], ${two}, resolution: STATIC, endpoints: [{ address: 192.0.2.1 }] }`,
      ),
    );
    const on81 = at("203.0.113.9", 81, { http: { host: "a.example" } });
    assert.equal(ask(world, "a.example"), "80|| a.example → a.example:80");
    assert.equal(ask(world, on81), "81|| a.example → 192.0.2.1:81");
  });

  test("prefers the longest range", () => {
    const world = meshWorld(
      shop,
      entry("wide", `{ hosts: [wide.example], addresses: [198.51.0.0/16], ${tcp} }`),
      entry("narrow", `{ hosts: [narrow.example], addresses: [198.51.100.0/24], ${tcp} }`),
    );
    assert.equal(ask(world, at("198.51.100.1", 5432)), "5432|| narrow.example → original");
    assert.equal(ask(world, at("198.51.1.1", 5432)), "5432|| wide.example → original");
  });

  test("is seen only where it is exported to, and one's own is meant before others'", () => {
    const mine = `{ hosts: [api.example], exportTo: ["."], ${http}, resolution: STATIC, endpoints: [{ address: 192.0.2.1 }] }`;
    const theirs = mine.replace('exportTo: ["."], ', "").replace("192.0.2.1", "192.0.2.2");
    const world = meshWorld(
      shop,
      `kind: ServiceEntry\nmetadata: { name: a, namespace: other }\nspec: ${theirs}`,
      entry("z", mine),
    );
    assert.equal(ask(world, "api.example"), "80|| api.example → 192.0.2.1:80");
    assert.equal(ask(world, "api.example", "other/guest"), "80|| api.example → 192.0.2.2:80");
  });

  test("takes VirtualServices and DestinationRules like a Service", () => {
    const rules = `
kind: VirtualService
metadata: { name: api }
spec: { hosts: [api.example], http: [{ match: [{ port: 80 }], route: [{ destination: { host: api.example, port: { number: 443 } } }] }] }
---
kind: DestinationRule
metadata: { name: api }
spec: { host: api.example, trafficPolicy: { portLevelSettings: [{ port: { number: 443 }, tls: { mode: SIMPLE } }] } }
`;
    const spec =
      "{ hosts: [api.example], ports: [{ number: 80, name: http, protocol: HTTP }, { number: 443, name: https, protocol: HTTPS }], resolution: DNS, subjectAltNames: [cdn.example] }";
    const world = meshWorld(shop, entry("it", spec), rules);
    assert.equal(ask(world, "api.example"), "443|| api.example → api.example:443");
    const { value, diagnostics } = compileFor(world, "shop/web");
    const cluster = value.clusters.find(({ name }) => name === "outbound|443||api.example");
    assert.deepEqual(
      [cluster?.originate?.sni, cluster?.originate?.names, cluster?.tls],
      ["api.example", ["cdn.example"], undefined],
    );
    assert.deepEqual(diagnostics, []);
  });

  test("says which endpoints it cannot have", () => {
    const spec = `{ hosts: [a.example], ${http}, resolution: STATIC, endpoints: [{ address: "unix:///run/a" }] }`;
    const { diagnostics } = compileFor(meshWorld(shop, entry("it", spec)), "shop/web");
    assert.deepEqual(
      diagnostics.map(({ code, where }) => `${code} ${where}`),
      ["HEDDLE0113 ServiceEntry shop/it spec.endpoints[0].address"],
    );
  });
});

test("a Service's selector means WorkloadEntries, too", () => {
  const machine = `
kind: WorkloadEntry
metadata: { name: old-cart }
spec: { address: 192.0.2.77, labels: { app: cart }, ports: { http: 8080 } }
`;
  const world = meshWorld(shop, machine);
  assert.equal(ask(world, "cart"), "80|| cart.shop.svc.cluster.local → 192.0.2.77:8080");
});

describe("where only declared destinations may be called", () => {
  const api =
    "{ hosts: [api.example], ports: [{ number: 80, name: http, protocol: HTTP }, { number: 443, name: tls, protocol: TLS }], resolution: DNS }";
  const world = meshWorld(shop, network, entry("api", api));
  const table: readonly (readonly [Asked, string])[] = [
    ["api.example", "80|| api.example → api.example:80"],
    ["cart", "80|| cart.shop.svc.cluster.local → nobody"],
    ["else.example", "502 block_all"],
    [at("203.0.113.9", 9000), "BlackHoleCluster → nobody"],
    [at("203.0.113.9", 80), "BlackHoleCluster → nobody"],
    [at("203.0.113.9", 443, { serverName: "api.example" }), "443|| api.example → api.example:443"],
    [at("203.0.113.9", 443, { serverName: "else.example" }), "BlackHoleCluster → nobody"],
  ];
  for (const [asked, answer] of table) {
    test(`${typeof asked === "string" ? asked : JSON.stringify(asked)} gets ${answer}`, () => {
      assert.equal(ask(world, asked), answer);
    });
  }
});
