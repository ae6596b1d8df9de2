/**
 * What is remembered from world to world must never show: after any history of changes a client has what a server would
 * make of the same objects that has seen nothing else.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { meshWorld, objectsIn, proxyOf } from "../../../test/worlds/mesh.ts";
import type { Resource } from "../../api/resource.ts";
import { seededRandom } from "../../base/random.ts";
import { applyToWorld, objectKey, type World, worldOf } from "../../core/registry/world.ts";
import type { Client } from "../../wire/xds/node.ts";
import { Configurations } from "./configuration.ts";

const shop = `
  pods:
    shop/web: {}
    shop/cart-v1: { labels: { app: cart, version: v1 }, node: node-2 }
    shop/cart-v2: { labels: { app: cart, version: v2 } }
    pay/teller: {}
    pay/door: { annotations: { inject.istio.io/templates: gateway } }
  services:
    shop/web: { ports: { http: 80 } }
    shop/cart: { ports: { http: 80, tcp: 90 } }
    pay/teller: { ports: { http: 8080, any: 70 } }
`;

const route = (host: string, more = "") =>
  `[{ route: [{ destination: { host: ${host} } }] ${more} }]`;
const rules = (name: string, spec: string) =>
  `kind: VirtualService\nmetadata: { name: ${name} }\nspec: ${spec}`;

/** What each place of the world may hold, beside nothing. */
const places: readonly (readonly string[])[] = [
  [
    rules("cart", `{ hosts: [cart], http: ${route("cart", ", timeout: 1s")} }`),
    rules("cart", `{ hosts: [cart], exportTo: ["."], http: ${route("web")} }`),
    rules(
      "cart",
      `{ hosts: [cart], http: [{ match: [{ sourceLabels: { app: web } }], route: [{ destination: { host: cart, subset: v1 } }] }] }`,
    ),
    rules("cart", "{ hosts: [cart], http: [{ delegate: { name: team } }] }"),
    rules(
      "cart",
      "{ hosts: [cart], tcp: [{ route: [{ destination: { host: cart, subset: v2 } }] }] }",
    ),
    rules("cart", `{ hosts: [cart], gateways: [pay/door, mesh], http: ${route("cart")} }`),
  ],
  [
    rules("team", `{ http: ${route("cart", ", name: team")} }`),
    rules("team", `{ http: ${route("web", ", retries: { attempts: 1 }")} }`),
  ],
  [
    rules("wide", `{ hosts: ["*.shop.svc.cluster.local"], http: ${route("web")} }`),
    rules("wide", `{ hosts: [example.org], http: ${route("cart")} }`),
  ],
  [
    `kind: DestinationRule
metadata: { name: cart }
spec: { host: cart, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }`,
    `kind: DestinationRule
metadata: { name: cart }
spec:
  host: cart
  trafficPolicy: { outlierDetection: {}, loadBalancer: { consistentHash: { httpHeaderName: x-user } } }
  subsets: [{ name: v1, labels: { version: v1 } }]`,
    `kind: DestinationRule
metadata: { name: cart }
spec: { host: cart, workloadSelector: { matchLabels: { app: web } }, trafficPolicy: { tls: { mode: DISABLE } } }`,
  ],
  [
    "kind: Sidecar\nmetadata: { name: shop }\nspec: { egress: [{ hosts: [./*] }] }",
    "kind: Sidecar\nmetadata: { name: shop }\nspec: { workloadSelector: { labels: { app: web } }, egress: [{ hosts: [pay/*] }] }",
  ],
  [
    "kind: PeerAuthentication\nmetadata: { name: shop }\nspec: { mtls: { mode: STRICT } }",
    "kind: PeerAuthentication\nmetadata: { name: shop }\nspec: { selector: { matchLabels: { app: cart } }, mtls: { mode: DISABLE } }",
  ],
  [
    "kind: AuthorizationPolicy\nmetadata: { name: shop }\nspec: { rules: [{ to: [{ operation: { methods: [GET] } }] }] }",
    "kind: AuthorizationPolicy\nmetadata: { name: shop }\nspec: { selector: { matchLabels: { app: web } }, action: DENY, rules: [{}] }",
  ],
  [
    "kind: Telemetry\nmetadata: { name: all, namespace: istio-system }\nspec: { accessLogging: [{ providers: [{ name: envoy }] }] }",
    "kind: Telemetry\nmetadata: { name: all, namespace: istio-system }\nspec: { tracing: [], accessLogging: [{ match: { mode: SERVER }, providers: [{ name: envoy }] }] }",
  ],
  [
    "kind: ServiceEntry\nmetadata: { name: out }\nspec: { hosts: [example.org], ports: [{ name: http, number: 80, protocol: HTTP }], resolution: DNS }",
    "kind: ServiceEntry\nmetadata: { name: out }\nspec: { hosts: [example.org], exportTo: [.], location: MESH_INTERNAL, ports: [{ name: http, number: 80, protocol: HTTP }], resolution: STATIC, workloadSelector: { labels: { app: old } } }",
  ],
  [
    "kind: WorkloadEntry\nmetadata: { name: old }\nspec: { address: 192.0.2.9, labels: { app: old } }",
    "kind: WorkloadEntry\nmetadata: { name: old }\nspec: { address: 192.0.2.10, labels: { app: cart } }",
  ],
  [
    "kind: Gateway\nmetadata: { name: door, namespace: pay }\nspec: { selector: { app: door }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }] }",
    "kind: Gateway\nmetadata: { name: door, namespace: pay }\nspec: { selector: { app: door }, servers: [{ port: { number: 443, name: https, protocol: HTTPS }, tls: { mode: SIMPLE, credentialName: key }, hosts: [cart.shop] }] }",
  ],
  [
    "kind: Secret\nmetadata: { name: key, namespace: pay }\ndata: { tls.crt: Yw==, tls.key: aw== }",
    "kind: Secret\nmetadata: { name: key, namespace: pay }\ndata: { tls.crt: ZA==, tls.key: aw== }",
  ],
  [
    "kind: Service\nmetadata: { name: new }\nspec: { clusterIP: 10.96.7.7, selector: { app: web }, ports: [{ name: http, port: 80 }] }",
    "kind: Service\nmetadata: { name: new, annotations: { networking.istio.io/exportTo: '.' } }\nspec: { clusterIP: 10.96.7.7, selector: { app: web }, ports: [{ name: http, port: 90 }] }",
  ],
  [
    "kind: Node\nmetadata: { name: node-2, namespace: '', labels: { topology.kubernetes.io/zone: a } }",
    "kind: Node\nmetadata: { name: node-2, namespace: '', labels: { topology.kubernetes.io/zone: b } }",
  ],
];

/** Everything of a client's configuration, resource by resource, and what was noted. */
function pictureOf(configurations: Configurations, client: Client, world: World): unknown {
  const made = configurations.for(client, world);
  assert.ok(made !== undefined);
  return {
    resources: [...made.resources.values()].flatMap((named) =>
      [...named.values()]
        .map(({ typeUrl, name, version }) => `${typeUrl} ${name} ${version}`)
        .sort(),
    ),
    notes: made.diagnostics,
  };
}

test("a client has after any history what a server makes of the same objects that has seen nothing else", () => {
  const random = seededRandom(2024);
  const oneOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  let world = meshWorld(shop);
  const clients: readonly Client[] = [
    ...["shop/web", "shop/cart-v1", "pay/teller", "pay/door"].map(
      (name): Client => ({ kind: "sidecar", proxy: proxyOf(world, name) }),
    ),
    { kind: "agent", node: "node-1" },
  ];
  const lasting = new Configurations();
  const held = new Map<readonly string[], Resource>();
  for (let step = 1; step <= 120; step++) {
    const place = places[step % places.length] ?? [];
    const before = held.get(place);
    const [object] = random() < 0.2 ? [] : objectsIn(oneOf(place), "shop");
    if (object === undefined && before === undefined) continue;
    if (object === undefined) held.delete(place);
    else held.set(place, object);
    const changed = object ?? before;
    assert.ok(changed !== undefined);
    const type = object === undefined ? "deleted" : "modified";
    world = applyToWorld(world, [{ type, version: world.version + 1, object: changed }]);
    const all = [...world.objects.values()].flatMap((kind) => [...kind.values()]);
    const fresh = worldOf(structuredClone(all));
    for (const client of clients) {
      assert.deepEqual(
        pictureOf(lasting, client, world),
        pictureOf(new Configurations(), client, fresh),
        `step ${step}: ${type} ${changed.kind} ${objectKey(changed)}`,
      );
    }
  }
});
