/** What DestinationRules have spoken to endpoints: TLS of the mesh, of their own, none; a PROXY header. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { cart, cartWith, shop } from "../../../test/worlds/shop.ts";

describe("a DestinationRule", () => {
  test("with DISABLE speaks plain text, with ISTIO_MUTUAL mesh TLS to everybody", () => {
    const off = cartWith("{ host: cart, trafficPolicy: { tls: { mode: DISABLE } } }");
    assert.equal(off.cluster?.tls, undefined);
    assert.deepEqual(
      off.endpoints?.map(({ tls }) => tls),
      [false, false],
    );
    const on = cartWith("{ host: cart, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }");
    assert.deepEqual(
      on.endpoints?.map(({ tls }) => tls),
      [true, true],
    );
  });

  test("with PASSTHROUGH speaks mesh TLS only where it is demanded: what the destination takes is not known", () => {
    const tlsWith = (more: string) =>
      cartWith(`{ host: cart, trafficPolicy: { loadBalancer: { simple: PASSTHROUGH }${more} } }`)
        .cluster?.tls;
    assert.equal(tlsWith(""), undefined);
    assert.notEqual(tlsWith(", tls: { mode: ISTIO_MUTUAL }"), undefined);
  });

  test("with SIMPLE or MUTUAL speaks the endpoints' own TLS, by whatever names they are to have", () => {
    const originate = (tls: string) =>
      cartWith(`{ host: cart, trafficPolicy: { tls: ${tls} } }`).cluster?.originate;
    assert.deepEqual(originate("{ mode: SIMPLE }"), {
      trust: { kind: "public" },
      sni: "cart.shop.svc.cluster.local",
      alpn: ["h2", "http/1.1"],
      names: ["cart.shop.svc.cluster.local"],
    });
    assert.deepEqual(originate("{ mode: SIMPLE, credentialName: own-ca, sni: a.example }"), {
      trust: { kind: "secret", name: "kubernetes://shop/own-ca-cacert" },
      sni: "a.example",
      alpn: ["h2", "http/1.1"],
      names: ["a.example"],
    });
    const mutual = originate(
      "{ mode: MUTUAL, credentialName: us, subjectAltNames: [them.example] }",
    );
    assert.deepEqual(
      [mutual?.certificate, mutual?.names],
      ["kubernetes://shop/us", ["them.example"]],
    );
    assert.deepEqual(originate("{ mode: SIMPLE, insecureSkipVerify: true }")?.trust, {
      kind: "none",
    });
  });

  test("whose TLS cannot be done as asked sends nothing anywhere, and says so", () => {
    const refused = (tls: string) => {
      const { endpoints, diagnostics } = cartWith(`{ host: cart, trafficPolicy: { tls: ${tls} } }`);
      assert.deepEqual(endpoints, []);
      return diagnostics.map(({ code }) => code);
    };
    const files = "clientCertificate: /c.pem, privateKey: /k.pem";
    assert.deepEqual(refused(`{ mode: MUTUAL, ${files} }`), ["HEDDLE0104"]);
    assert.deepEqual(refused("{ mode: SIMPLE, caCertificates: /ca.pem }"), ["HEDDLE0104"]);
  });

  test("endpoints of a pod without sidecar, or with mesh TLS off, get plain text", () => {
    const disabled = `
kind: PeerAuthentication
metadata: { name: off }
spec: { selector: { matchLabels: { version: v1 } }, mtls: { mode: DISABLE } }
`;
    const { value } = compileFor(meshWorld(shop, disabled), "shop/web");
    assert.deepEqual(
      value.endpoints.find((one) => one.cluster === cart)?.endpoints.map(({ tls }) => tls),
      [false, true],
    );
  });
});

describe("a DestinationRule with a PROXY protocol", () => {
  const header = (policy: string) => {
    const rule = `
kind: DestinationRule
metadata: { name: cart }
spec: { host: cart, trafficPolicy: ${policy} }
`;
    const { value, diagnostics } = compileFor(meshWorld(shop, rule), "shop/web");
    const found = value.clusters.find(({ name }) => name === cart)?.proxyProtocol;
    return [found, ...diagnostics.map(({ code, where }) => `${code} ${where}`)];
  };

  test("has it written in the clear, and says where nothing is in the clear", () => {
    assert.deepEqual(header("{ proxyProtocol: { version: V2 } }"), ["v2"]);
    assert.deepEqual(header("{ proxyProtocol: {}, tls: { mode: DISABLE } }"), ["v1"]);
    assert.deepEqual(header("{ proxyProtocol: {}, tls: { mode: ISTIO_MUTUAL } }"), [
      undefined,
      "HEDDLE0108 DestinationRule shop/cart spec.trafficPolicy.proxyProtocol",
    ]);
  });
});
