/** TLS of the sidecar's own to services outside. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { before, describe, test } from "node:test";
import type { OriginateTls, Secret } from "../../model/proxy-config.ts";
import { certificate, roots } from "../testing/gateway.ts";
import { Harness, request } from "../testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";
import { secureApp } from "../testing/secure-app.ts";
import { type WebCertificate, webCertificate } from "../testing/web-certificate.ts";

let a: WebCertificate;
let b: WebCertificate;
let friend: WebCertificate;

before(() => {
  a = webCertificate("a.example");
  b = webCertificate("b.example");
  friend = webCertificate("friend.example");
});

describe("TLS to outside", () => {
  const outside = (more: Partial<OriginateTls> = {}): OriginateTls => ({
    trust: { kind: "secret", name: "ca" },
    sni: "a.example",
    alpn: ["h2", "http/1.1"],
    names: ["a.example"],
    ...more,
  });

  test("is spoken to whoever proves to be who he should be, and to nobody else", async () => {
    await using harness = new Harness();
    const app = await secureApp(harness, a);
    const answer = async (originate: OriginateTls, secrets: readonly Secret[]) => {
      const { port } = await harness.outbound([virtualHost(["*"], [route(forward("out"))])], {
        clusters: [cluster("out", { originate })],
        endpoints: [{ cluster: "out", endpoints: [endpoint(app.port)] }],
        secrets,
      });
      const { status, body } = await request(port);
      return status === 200 ? body : status;
    };
    assert.equal(await answer(outside(), [roots("ca", a)]), "own");
    assert.equal(await answer(outside({ names: ["b.example"] }), [roots("ca", a)]), 503);
    assert.equal(await answer(outside(), [roots("ca", b)]), 503);
    assert.equal(await answer(outside({ trust: { kind: "public" } }), []), 503);
    assert.equal(await answer(outside({ trust: { kind: "none" } }), []), "own");
    assert.equal(await answer(outside(), []), 503); // and never in the clear
    assert.deepEqual(new Set(app.names), new Set(["a.example"]));
    assert.equal(app.fields.has("x-heddle-peer"), false);
  });

  test("in HTTP/2 asks for https, though its client asked for http", async () => {
    await using harness = new Harness();
    const server = createSecureServer({ cert: a.chain, key: a.key }, (req, res) => {
      res.end(`${req.scheme} ${req.url}`);
    });
    const sessions: ServerHttp2Session[] = [];
    server.on("session", (session) => sessions.push(session));
    await once(server.listen(0, "127.0.0.1"), "listening");
    harness.atEnd(() => {
      server.close();
      for (const session of sessions) session.destroy();
    });
    const { port: appPort } = server.address() as AddressInfo;
    const { port } = await harness.outbound([virtualHost(["*"], [route(forward("out"))])], {
      clusters: [cluster("out", { originate: outside(), protocol: "http/2" })],
      endpoints: [{ cluster: "out", endpoints: [endpoint(appPort)] }],
      secrets: [roots("ca", a)],
    });
    assert.equal((await request(port, { path: "/x" })).body, "https /x");
  });

  test("shows the certificate that is meant for it", async () => {
    await using harness = new Harness();
    const app = await secureApp(harness, a, friend);
    const answer = async (originate: OriginateTls) => {
      const { port } = await harness.outbound([virtualHost(["*"], [route(forward("out"))])], {
        clusters: [cluster("out", { originate })],
        endpoints: [{ cluster: "out", endpoints: [endpoint(app.port)] }],
        secrets: [roots("ca", a), certificate("us", friend), certificate("else", b)],
      });
      return (await request(port)).status;
    };
    assert.equal(await answer(outside({ certificate: "us" })), 200);
    assert.equal(await answer(outside({ certificate: "else" })), 503);
    assert.equal(await answer(outside({ certificate: "absent" })), 503);
  });
});
