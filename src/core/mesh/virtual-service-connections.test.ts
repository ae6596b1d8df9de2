/** What VirtualServices make of connections that carry no HTTP that could be read. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { cart, shop, split } from "../../../test/worlds/shop.ts";
import { walkOutbound } from "./walk.ts";

describe("a VirtualService", () => {
  test("send TLS of one caller elsewhere, and no other's of its namespace", () => {
    const world = meshWorld(
      shop,
      `
kind: VirtualService
metadata: { name: db }
spec:
  hosts: [db]
  tls:
  - match:
    - { sniHosts: [db], sourceNamespace: other }
    - { sniHosts: [db], sourceLabels: { app: web } }
    route: [{ destination: { host: cart, port: { number: 80 } } }]
`,
    );
    const to = { address: "10.96.0.2", port: 5432, serverName: "db" };
    const clusterOf = (pod: string) =>
      walkOutbound(compileFor(world, pod).value, to).destinations[0]?.cluster;
    assert.equal(clusterOf("shop/web"), cart);
    assert.equal(clusterOf("shop/cart-v1"), "outbound|5432||db.shop.svc.cluster.local");
    assert.equal(clusterOf("other/guest"), cart);
  });

  test("routes TCP by port and caller", () => {
    const world = meshWorld(
      shop,
      `
kind: VirtualService
metadata: { name: db }
spec:
  hosts: [db]
  tcp:
    - match: [{ port: 5432, sourceLabels: { app: web } }]
      route:
        - { destination: { host: db }, weight: 80 }
        - { destination: { host: legacy }, weight: 20 }
`,
    );
    const to = { address: "10.96.0.2", port: 5432 };
    assert.deepEqual(
      walkOutbound(compileFor(world, "shop/web").value, to).destinations.map(
        ({ cluster, share }) => `${cluster} ${share}`,
      ),
      [
        "outbound|5432||db.shop.svc.cluster.local 0.8",
        "outbound|9000||legacy.shop.svc.cluster.local 0.2",
      ],
    );
    assert.equal(split(world, to, "other/guest"), "outbound|5432||db.shop.svc.cluster.local");
  });
});
