import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../../test/worlds/mesh.ts";
import type { World } from "../../registry/world.ts";
import { walkGateway } from "../walk.ts";

const shop = `
pods:
  edge/gateway-0: { labels: { app: gateway, istio: ingressgateway, inject.istio.io/templates: gateway } }
  shop/web-1: { labels: { app: web } }
  shop/cart-1: { labels: { app: cart } }
services:
  edge/gateway: { ports: { http: 80>8080, https: 443>8443 } }
  shop/web: { ports: { http: 80 } }
  shop/cart: { ports: { http: 80, tls-own: 443, tcp-raw: 9000 } }
`;

const gateway = (servers: string, more = ""): string => `
kind: Gateway
metadata: { name: front${more} }
spec:
  selector: { istio: ingressgateway }
  servers: ${servers}
`;

const routes = (name: string, spec: string): string => `
kind: VirtualService
metadata: { name: ${name} }
spec: ${spec}
`;

const secret = (namespace = "edge"): string => `
kind: Secret
metadata: { name: web-cert, namespace: ${namespace} }
type: kubernetes.io/tls
data: { tls.crt: Q0VSVA==, tls.key: S0VZ, ca.crt: Q0E= }
`;

const http = (hosts: string, more = ""): string =>
  `{ port: { number: 80, name: http, protocol: HTTP }, hosts: ${hosts} ${more}}`;
const tls = (hosts: string, mode: string, more = ""): string =>
  `{ port: { number: 443, name: https, protocol: HTTPS }, hosts: ${hosts}, tls: { mode: ${mode} ${more}} }`;

const toWeb = "http: [{ route: [{ destination: { host: web, port: { number: 80 } } }] }]";

function compiled(world: World) {
  return compileFor(world, "edge/gateway-0");
}

interface Asked {
  readonly port?: number;
  readonly host?: string;
  readonly path?: string;
  readonly serverName?: string;
  readonly alpn?: string;
}

/** `web`, `301 https`, `404`, or `closed`. */
function ask(
  world: World,
  { port = 8080, host = "a.example", path = "/", serverName, alpn }: Asked,
): string {
  const { value } = compiled(world);
  try {
    const walk = walkGateway(value, {
      port,
      ...(serverName === undefined ? {} : { serverName }),
      ...(alpn === undefined ? {} : { alpn }),
      http: { host, path },
    });
    const action = walk.route?.action;
    if (action?.kind === "redirect") return `${action.status} ${action.scheme}`;
    const [to] = walk.destinations;
    return to === undefined ? "404" : to.cluster.split("|").slice(1).join("|");
  } catch {
    return "closed";
  }
}

const web = "80||web.shop.svc.cluster.local";

describe("a gateway", () => {
  test("serves the hosts for which some VirtualService is bound to it, on the target of its Service's port", () => {
    const world = meshWorld(
      shop,
      gateway(`[${http('["*.example"]')}]`),
      routes("web", `{ hosts: [a.example, b.other], gateways: [front], ${toWeb} }`),
    );
    assert.equal(ask(world, {}), web);
    assert.equal(ask(world, { host: "a.example:80" }), web);
    assert.equal(ask(world, { host: "b.other" }), "404"); // the server does not take it
    assert.equal(ask(world, { host: "c.example" }), "404");
    assert.equal(ask(world, { port: 80 }), "closed");
  });

  test("takes the Service's port and its target for the same", () => {
    const world = meshWorld(
      shop,
      gateway(`[${http("[a.example]")}]`, "-a"),
      gateway(`[${http("[b.example]").replace("80", "8080")}]`, "-b"),
      routes("a", `{ hosts: [a.example], gateways: [front-a], ${toWeb} }`),
      routes("b", `{ hosts: [b.example], gateways: [front-b], ${toWeb} }`),
    );
    assert.equal(ask(world, {}), web);
    assert.equal(ask(world, { host: "b.example" }), web);
  });

  const bindings: readonly (readonly [gateways: string, serverHost: string, answer: string])[] = [
    ["[front]", "*", web],
    ["[shop/front]", "*", web],
    ["[./front]", "*", web],
    ["[front.shop.svc.cluster.local]", "*", web],
    ["[mesh, front]", "shop/*", web],
    ["[front]", "./*", web],
    ["[front]", "other/*", "404"],
    ["[edge/front]", "*", "404"],
    ["[mesh]", "*", "404"],
  ];
  for (const [gateways, serverHost, answer] of bindings) {
    test(`with host ${serverHost} answers ${answer} for a VirtualService of ${gateways}`, () => {
      const world = meshWorld(
        shop,
        gateway(`[${http(`["${serverHost}"]`)}]`),
        routes("web", `{ hosts: [a.example], gateways: ${gateways}, ${toWeb} }`),
      );
      assert.equal(ask(world, {}), answer);
    });
  }

  test("adds up the routes of several VirtualServices of a host, and leaves out those of other gateways", () => {
    const cart = "route: [{ destination: { host: cart, port: { number: 80 } } }]";
    const world = meshWorld(
      shop,
      gateway(`[${http('["*"]')}]`),
      routes(
        "a",
        `{ hosts: [a.example], gateways: [front, mesh], http: [{ match: [{ uri: { prefix: /mesh }, gateways: [mesh] }, { uri: { prefix: /cart } }], ${cart} }] }`,
      ),
      routes("b", `{ hosts: [a.example], gateways: [front], ${toWeb} }`),
    );
    assert.equal(ask(world, { path: "/cart" }), "80||cart.shop.svc.cluster.local");
    assert.equal(ask(world, { path: "/mesh" }), web);
    assert.equal(ask(world, { path: "/" }), web);
  });

  test("sends plain requests to https where its server says so", () => {
    const world = meshWorld(
      shop,
      gateway(`[${http('["a.example"]', ", tls: { httpsRedirect: true } ")}]`),
    );
    assert.equal(ask(world, {}), "301 https");
    assert.equal(ask(world, { host: "b.example" }), "404");
  });

  test("opens TLS by the name that is asked for, with the Secret of its own namespace", () => {
    const servers = [
      tls("[a.example]", "SIMPLE", ", credentialName: web-cert"),
      tls('["*.b.example"]', "MUTUAL", ", credentialName: web-cert, subjectAltNames: [friend]"),
    ];
    const world = meshWorld(
      shop,
      gateway(`[${servers.join(", ")}]`),
      secret(),
      routes("web", `{ hosts: [a.example, x.b.example], gateways: [front], ${toWeb} }`),
    );
    assert.equal(ask(world, { port: 8443, serverName: "a.example" }), web);
    assert.equal(ask(world, { port: 8443, serverName: "x.b.example", host: "x.b.example" }), web);
    assert.equal(ask(world, { port: 8443, serverName: "c.example" }), "closed");
    assert.equal(ask(world, { port: 8443 }), "closed");
    const { value, diagnostics } = compiled(world);
    assert.deepEqual(diagnostics, []);
    const [simple, mutual] = value.listeners.flatMap(({ filterChains }) => filterChains);
    assert.equal(simple?.tls?.certificate, "kubernetes://edge/web-cert");
    assert.deepEqual(
      [simple?.tls?.requireClientCertificate, simple?.tls?.validation],
      [false, undefined],
    );
    assert.deepEqual(mutual?.tls?.clients, {
      kind: "anyone",
      names: ["friend"],
      leastVersion: "TLSv1.2",
    });
    assert.deepEqual(value.secrets, [
      { kind: "certificate", name: "kubernetes://edge/web-cert", chain: "CERT", key: "KEY" },
      { kind: "validation", name: "kubernetes://edge/web-cert-cacert", roots: "CA" },
    ]);
  });

  test("judges clients by the roots that are named for them, and not by those beside its own certificate", () => {
    const fields = ", credentialName: web-cert, caCertCredentialName: friends";
    const friends = `
apiVersion: v1
kind: Secret
metadata: { name: friends, namespace: edge }
stringData: { ca.crt: FRIENDS }
`;
    const servers = gateway(`[${tls("[a.example]", "MUTUAL", fields)}]`);
    const { value } = compiled(meshWorld(shop, servers, secret(), friends));
    const roots = value.secrets?.find(({ kind }) => kind === "validation");
    assert.deepEqual(roots, {
      kind: "validation",
      name: "kubernetes://edge/friends-cacert",
      roots: "FRIENDS",
    });
    const without = compiled(meshWorld(shop, servers, secret())).value;
    assert.equal(
      without.secrets?.some(({ kind }) => kind === "validation"),
      false,
    );
  });

  test("gives keys to nobody who has no use for them", () => {
    const servers = tls("[a.example]", "SIMPLE", ", credentialName: web-cert");
    const world = meshWorld(shop, gateway(`[${servers}]`), secret(), secret("shop"));
    assert.equal(compileFor(world, "shop/web-1").value.secrets, undefined);
    const names = compiled(world).value.secrets?.map(({ name }) => name);
    assert.deepEqual(names, ["kubernetes://edge/web-cert"]);
  });

  test("passes TLS on unopened by `tls` rules, and bytes by `tcp` rules", () => {
    const servers = [
      "{ port: { number: 443, name: tls, protocol: TLS }, hosts: [own.example], tls: { mode: PASSTHROUGH } }",
      "{ port: { number: 9000, name: tcp, protocol: TCP }, hosts: ['*'] }",
    ];
    const to = (port: number) =>
      `route: [{ destination: { host: cart, port: { number: ${port} } } }]`;
    const world = meshWorld(
      shop,
      gateway(`[${servers.join(", ")}]`),
      routes(
        "own",
        `{ hosts: [own.example], gateways: [front], tls: [{ match: [{ sniHosts: [own.example] }], ${to(443)} }] }`,
      ),
      routes(
        "raw",
        `{ hosts: ["*"], gateways: [front], tcp: [{ match: [{ port: 9000 }], ${to(9000)} }] }`,
      ),
    );
    const cart = "cart.shop.svc.cluster.local";
    assert.equal(ask(world, { port: 8443, serverName: "own.example" }), `443||${cart}`);
    assert.equal(ask(world, { port: 8443, serverName: "else.example" }), "closed");
    assert.equal(ask(world, { port: 9000 }), `9000||${cart}`);
  });

  describe("with AUTO_PASSTHROUGH", () => {
    const eastWest = (hosts: string) =>
      gateway(
        `[{ port: { number: 15443, name: tls, protocol: TLS }, hosts: ${hosts}, tls: { mode: AUTO_PASSTHROUGH } }]`,
      );
    const versions = `
kind: DestinationRule
metadata: { name: web }
spec:
  host: web
  trafficPolicy: { tls: { mode: ISTIO_MUTUAL }, outlierDetection: { consecutive5xxErrors: 3 } }
  subsets: [{ name: v1, labels: { app: web } }, { name: v2, labels: { version: v2 } }]
`;
    const world = meshWorld(shop, eastWest('["shop/*.local"]'), versions);
    const knock = (serverName: string, alpn?: string): string => {
      const { value } = compiled(world);
      try {
        const asked = { port: 15443, serverName, ...(alpn === undefined ? {} : { alpn }) };
        const [to] = walkGateway(value, asked).destinations;
        const ends = to?.endpoints?.map((one) => `${one.port} ${one.tls}`).join(", ");
        return `${to?.cluster}: ${ends}`;
      } catch {
        return "closed";
      }
    };
    const name = (subset: string, port = 80, host = "web.shop") =>
      `outbound_.${port}_.${subset}_.${host}.svc.cluster.local`;

    test("passes mesh TLS on to the Service and subset that its server name is of, whole", () => {
      assert.equal(knock(name(""), "istio"), `${name("")}: 80 false`);
      assert.equal(knock(name("v1"), "istio-h2"), `${name("v1")}: 80 false`);
      assert.equal(knock(name("v2"), "istio"), `${name("v2")}: `);
      assert.deepEqual(compiled(world).diagnostics, []);
    });

    test("closes what is no mesh TLS, or asks for what is not there", () => {
      assert.equal(knock(name("")), "closed");
      assert.equal(knock(name(""), "http/1.1"), "closed");
      assert.equal(knock(name("v3"), "istio"), "closed");
      assert.equal(knock(name("", 81), "istio"), "closed");
      assert.equal(knock("web.shop.svc.cluster.local", "istio"), "closed");
      assert.equal(knock(name("", 80, "gateway.edge"), "istio"), "closed"); // not of the namespace
    });

    test("passes nothing on to endpoints that take no mesh TLS, for nobody there would judge who comes", () => {
      const plain = `
kind: PeerAuthentication
metadata: { name: plain }
spec: { selector: { matchLabels: { app: web } }, mtls: { mode: DISABLE } }
`;
      const { value } = compiled(meshWorld(shop, eastWest('["*.local"]'), plain));
      const found = value.endpoints.find(({ cluster }) => cluster === name(""));
      assert.deepEqual(found?.endpoints, []);
    });

    test("takes the settings of the DestinationRule, but no TLS of its own", () => {
      const found = compiled(world).value.clusters.find((one) => one.name === name("v1"));
      assert.equal(found?.outlierDetection?.consecutive5xx, 3);
      assert.deepEqual([found?.tls, found?.originate], [undefined, undefined]);
    });
  });

  const refusals: readonly (readonly [server: string, code: string])[] = [
    [tls("[a.example]", "SIMPLE", ", serverCertificate: /c, privateKey: /k"), "HEDDLE0111"],
    [tls("[a.example]", "SIMPLE", ", credentialName: absent"), "HEDDLE0112"],
    [
      tls("[a.example]", "MUTUAL", ", credentialName: c, verifyCertificateHash: [ab]"),
      "HEDDLE0111",
    ],
    [
      tls("[a.example]", "MUTUAL", ", credentialName: c, verifyCertificateSpki: [ab]"),
      "HEDDLE0111",
    ],
    [
      tls("[a.example]", "SIMPLE", ", credentialName: c, maxProtocolVersion: TLSV1_1"),
      "HEDDLE0111",
    ],
    [`${http("[a.example]")}, ${http("[b.example]").replace("HTTP", "TCP")}`, "HEDDLE0110"],
  ];
  for (const [server, code] of refusals) {
    test(`says ${code} of ${server}`, () => {
      const world = meshWorld(shop, gateway(`[${server}]`));
      assert.deepEqual(
        compiled(world).diagnostics.map((note) => note.code),
        [code],
      );
    });
  }

  describe("with others in front of it", () => {
    const behind = (config: string) =>
      shop.replace(
        "inject.istio.io/templates: gateway }",
        `inject.istio.io/templates: gateway }, annotations: { proxy.istio.io/config: '${config}' }`,
      );
    const front = gateway(`[${http("[a.example]")}]`);

    test("believes as many of them as its pod's annotation says", () => {
      const text = '{"gatewayTopology":{"numTrustedProxies":2,"proxyProtocol":{}}}';
      const { value, diagnostics } = compiled(meshWorld(behind(text), front));
      const [listener] = value.listeners;
      const filter = listener?.filterChains[0]?.filter;
      assert.deepEqual(diagnostics, []);
      assert.equal(listener?.proxyProtocol, "required");
      assert.equal(filter?.kind === "http" ? filter.trustedProxies : undefined, 2);
    });

    test("believes nobody, and says so, where the annotation cannot be read", () => {
      const topologies = [
        '{"numTrustedProxies":-1}',
        '{"numTrustedProxies":1e300}', // no message can hold it: the gateway would refuse all that it is sent
        '{"proxyProtocol":true}',
      ];
      const texts = topologies.map((one) => `{"gatewayTopology":${one}}`);
      for (const text of ["numTrustedProxies: 2", ...texts]) {
        const { value, diagnostics } = compiled(meshWorld(behind(text), front));
        assert.deepEqual(
          diagnostics.map(({ code, where }) => `${code} ${where}`),
          ["HEDDLE0117 Pod edge/gateway-0 metadata.annotations[proxy.istio.io/config]"],
        );
        assert.equal(value.listeners[0]?.proxyProtocol, undefined);
      }
    });
  });

  test("captures nothing, and is spoken to in the clear", () => {
    const world = meshWorld(shop, gateway(`[${http('["*"]')}]`));
    const names = compiled(world).value.listeners.map(({ name }) => name);
    assert.deepEqual(names, ["0.0.0.0_8080"]);
    const endpoints = compileFor(world, "shop/web-1").value.endpoints.find(
      ({ cluster }) => cluster === "outbound|80||gateway.edge.svc.cluster.local",
    );
    assert.deepEqual(
      endpoints?.endpoints.map(({ tls }) => tls),
      [false],
    );
  });

  test("has nothing to do with pods that its selector does not mean", () => {
    const other = gateway(`[${http('["*"]')}]`).replace("ingressgateway", "else");
    assert.deepEqual(compiled(meshWorld(shop, other)).value.listeners, []);
  });
});

describe("a `tls` rule in the mesh", () => {
  test("chooses by the name in the ClientHello; other TLS goes where it was sent", () => {
    const world = meshWorld(
      shop,
      routes(
        "cart",
        "{ hosts: [cart], tls: [{ match: [{ sniHosts: [cart], port: 443 }], route: [{ destination: { host: web, port: { number: 80 } } }] }] }",
      ),
    );
    const { value } = compileFor(world, "shop/web-1");
    const listener = value.listeners.find(({ name }) => name === "10.96.0.3_443");
    assert.deepEqual(
      listener?.filterChains.map(({ match }) => match),
      [{ transport: "tls", serverNames: ["cart"] }],
    );
  });
});
