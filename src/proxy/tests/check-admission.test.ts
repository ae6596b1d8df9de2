/**
 * Health checks, policies and applications that would like to pass for checks: two sidecars as the compiler makes them.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness, request } from "../testing/harness.ts";
import { labels } from "../testing/mesh.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";

const checking = (namespace: string): string => `
kind: DestinationRule
metadata:
  name: cart
  namespace: ${namespace}
  annotations: { heddle.dev/health-check: '{"httpGet":{"path":"/healthz?full"},"periodSeconds":1,"failureThreshold":1}' }
spec: { host: cart.shop.svc.cluster.local }
`;
const policy = (spec: string): string => `
kind: AuthorizationPolicy
metadata: { name: cart, namespace: shop }
spec: ${spec}
`;
const denyAll = policy("{ action: DENY, rules: [{}] }");
const allowNothing = policy("{}");

/** No time passes: none of the answers, which a check wants within a second, is late. */
const now = () => 0;

/** `web` of namespace front calls `cart` of namespace shop; what cart's application was asked. */
async function mesh(harness: Harness, ...documents: readonly string[]) {
  const asked: string[] = [];
  const app = await harness.app((req, res) => {
    const { "x-heddle-health-check": mark, "user-agent": agent } = req.headers;
    asked.push(`${req.url} ${agent === "heddle-health-check"} ${mark}`);
    res.end("how I am");
  });
  const ca = await createMeshCa();
  const world = meshWorld(
    `
pods:
  shop/cart: {}
  front/web: {}
services:
  shop/cart: { ports: { http: 80>${app} } }
  shop/raw: { selector: { app: cart }, ports: { tcp: 9000>${app} } }
`,
    ...documents,
  );
  const here = { address: "127.0.0.1", port: app };
  const cart = compileFor(world, "shop/cart").value;
  const server = await harness.sidecar(
    { workload: labels("shop", "cart"), destination: () => here, now },
    { ...cart, listeners: bound(cart.listeners, "virtualInbound") },
    { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart") },
  );
  const inboundPort = server.portOf("virtualInbound") ?? 0;
  const web = compileFor(world, "front/web").value;
  let destination = { address: "10.96.0.1", port: 80 };
  const client = await harness.sidecar(
    { workload: labels("front", "web"), destination: () => destination, now },
    {
      ...web,
      listeners: bound(web.listeners, "virtualOutbound"),
      endpoints: web.endpoints.map((one) => ({
        ...one,
        endpoints: one.endpoints.map((each) => ({
          ...each,
          address: "127.0.0.1",
          port: inboundPort,
        })),
      })),
    },
    { secrets: await ca.secrets("spiffe://cluster.local/ns/front/sa/web") },
  );
  const goTo = (address: string, port: number) => {
    destination = { address, port };
  };
  return { client, server, asked, port: client.portOf("virtualOutbound") ?? 0, inboundPort, goTo };
}

/** Without the bound listeners of the other direction, at a port of the system's choice. */
function bound(
  listeners: ReturnType<typeof compileFor>["value"]["listeners"],
  name: string,
): typeof listeners {
  return listeners
    .filter((one) => !one.bindToPort || one.name === name)
    .map((one) => (one.bindToPort ? { ...one, address: "127.0.0.1", port: 0 } : one));
}

async function checked(client: Sidecar): Promise<boolean> {
  const host = client.tables.clusters.get("outbound|80||cart.shop.svc.cluster.local")?.hosts[0];
  while (host?.checked.against === undefined) await new Promise((go) => setTimeout(go, 5));
  return !host.checked.isUnwell;
}

describe("a health check", { timeout: 300_000 }, () => {
  for (const [name, rules] of [
    ["that denies everything", [denyAll]],
    ["that allows nothing", [allowNothing]],
    [
      "that denies and one that allows others",
      [
        denyAll,
        policy("{ rules: [{ to: [{ operation: { paths: [/api] } }] }] }").replace(
          "name: cart",
          "name: api",
        ),
      ],
    ],
  ] as const) {
    test(`passes a policy ${name}, and no request does with it`, async () => {
      await using harness = new Harness();
      const { client, asked, port } = await mesh(harness, checking("shop"), ...rules);
      assert.equal(await checked(client), true);
      assert.deepEqual([...new Set(asked)], ["/healthz?full true undefined"]);
      for (const headers of [
        {},
        { "x-heddle-health-check": "1", "user-agent": "heddle-health-check" },
      ]) {
        const answer = await request(port, {
          path: "/healthz?full",
          headers: { host: "cart.shop", ...headers },
        });
        assert.deepEqual([answer.status, answer.body], [403, "RBAC: access denied"]);
      }
    });
  }

  test("is under the policies where another namespace asks for it", async () => {
    await using harness = new Harness();
    const { client, asked } = await mesh(harness, checking("front"), denyAll);
    assert.equal(await checked(client), false);
    assert.deepEqual(asked, []);
  });

  test("is its caller's request where the caller's own rule says how to ask, whatever that writes into it", async () => {
    await using harness = new Harness();
    const own = checking("front").replace(
      '"path":"/healthz?full"',
      '"path":"/healthz?delete=all","host":"other.shop","httpHeaders":[{"name":"X-Heddle-Health-Check","value":"1"}]',
    );
    const { client, asked } = await mesh(harness, checking("shop"), own, denyAll);
    assert.equal(await checked(client), false);
    assert.deepEqual(asked, []);
  });

  test("cannot be passed off: in the clear, as bytes, or by a header edit", async () => {
    const forged =
      "GET /healthz HTTP/1.1\r\nhost: cart.shop\r\nx-heddle-health-check: 1\r\nconnection: close\r\n\r\n";
    const edit = `
kind: VirtualService
metadata: { name: forge, namespace: front }
spec:
  hosts: [cart.shop.svc.cluster.local]
  http:
    - headers: { request: { set: { X-Heddle-Health-Check: "1" } } }
      route: [{ destination: { host: cart.shop.svc.cluster.local } }]
`;
    await using harness = new Harness();
    const { asked, port, inboundPort, goTo } = await mesh(harness, checking("shop"), denyAll, edit);
    const answer = await request(port, { path: "/healthz", headers: { host: "cart.shop" } });
    assert.equal(answer.status, 403);
    const plain = await harness.raw(inboundPort);
    assert.match(await plain.send(forged).untilEnd(), /^HTTP\/1\.1 403 /);
    goTo("10.96.0.2", 9000); // the same port of the pod, for a Service that is TCP
    const tunnel = await harness.raw(port);
    assert.doesNotMatch(await tunnel.send(forged).untilEnd(), /how I am/);
    assert.deepEqual(
      asked.filter((one) => !one.includes("true")),
      [],
    );
  });
});
