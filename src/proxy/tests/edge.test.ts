/** A gateway's TLS: certificates by name, mutual TLS, pass-through. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { before, describe, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import type { DownstreamTls, FilterChain } from "../../model/proxy-config.ts";
import { certificate, chain, gateway, listener, roots, tls, visit } from "../testing/gateway.ts";
import { Harness } from "../testing/harness.ts";
import { cluster, endpoint } from "../testing/mesh.ts";
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

describe("a gateway's TLS", () => {
  test("shows each name its own certificate, and closes what asks for none of them", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => res.end(req.headers.host));
    const secrets = [certificate("a.example", a), certificate("b.example", b)];
    const { port } = await gateway(harness, app, [chain("a.example"), chain("b.example")], secrets);
    assert.equal(await visit(port, "a.example", { ca: a }), "200 a.example");
    assert.equal(await visit(port, "b.example", { ca: b }), "200 b.example");
    assert.equal(await visit(port, "c.example", { ca: a }), "closed");
  });

  test("is of no later version than the server says", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const clients = { kind: "anyone", names: [], leastVersion: "TLSv1.2" } as const;
    const old = { tls: tls("a.example", { clients: { ...clients, mostVersion: "TLSv1.2" } }) };
    const secrets = [certificate("a.example", a), certificate("b.example", b)];
    const chains = [chain("a.example", old), chain("b.example")];
    const { port } = await gateway(harness, app, chains, secrets);
    assert.equal((await connected(harness, port, "a.example", a)).getProtocol(), "TLSv1.2");
    assert.equal((await connected(harness, port, "b.example", b)).getProtocol(), "TLSv1.3");
  });

  test("whose certificate is missing or broken closes that name and serves the others", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const broken = { chain: "no PEM", key: "no key" };
    const secrets = [certificate("a.example", a), certificate("b.example", broken)];
    const chains = ["a.example", "b.example", "c.example"].map((name) => chain(name));
    const { port, apply } = await gateway(harness, app, chains, secrets);
    assert.equal(await visit(port, "a.example", { ca: a }), "200 ok");
    assert.equal(await visit(port, "b.example", { ca: b }), "closed");
    assert.equal(await visit(port, "c.example", { ca: a }), "closed");
    await apply(chains, [certificate("a.example", a), certificate("b.example", b)]);
    assert.equal(await visit(port, "b.example", { ca: b }), "200 ok");
  });

  test("takes a new certificate without touching connections that are open", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const chains = [chain("a.example")];
    const { port, apply } = await gateway(harness, app, chains, [certificate("a.example", a)]);
    const open = await connected(harness, port, "a.example", a);
    const renewed = webCertificate("a.example");
    await apply(chains, [certificate("a.example", renewed)]);
    assert.equal(await ask(open), "HTTP/1.1 200 OK");
    assert.equal(await visit(port, "a.example", { ca: a }), "closed");
    assert.equal(await visit(port, "a.example", { ca: renewed }), "200 ok");
    assert.equal(await ask(open), "HTTP/1.1 200 OK");
  });

  test("asks for a client's certificate, and for the names that it must have", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const asking = (required: boolean, ...names: readonly string[]) =>
      tls("a.example", {
        requireClientCertificate: required,
        validation: "ca",
        clients: { kind: "anyone", names, leastVersion: "TLSv1.2" },
      });
    const chains = (own: DownstreamTls) => [chain("a.example", { tls: own })];
    const secrets = [certificate("a.example", a), roots("ca", friend)];
    const { port, apply } = await gateway(harness, app, chains(asking(true)), secrets);
    assert.equal(await visit(port, "a.example", { ca: a }), "closed");
    assert.equal(await visit(port, "a.example", { ca: a, as: b }), "closed");
    assert.equal(await visit(port, "a.example", { ca: a, as: friend }), "200 ok");
    await apply(chains(asking(true, "other.example")), secrets);
    assert.equal(await visit(port, "a.example", { ca: a, as: friend }), "closed");
    await apply(chains(asking(true, "friend.example")), secrets);
    assert.equal(await visit(port, "a.example", { ca: a, as: friend }), "200 ok");
    await apply(chains(asking(false)), secrets);
    assert.equal(await visit(port, "a.example", { ca: a }), "200 ok");
    assert.equal(await visit(port, "a.example", { ca: a, as: b }), "closed");
  });

  test("passes a name on unopened beside others that it opens", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("opened"));
    const own = await secureApp(harness, b);
    const pass: FilterChain = {
      name: "pass",
      match: { transport: "tls", serverNames: ["*.example"] },
      rbac: [],
      filter: { kind: "tcp", statPrefix: "own", clusters: [{ cluster: "own", weight: 1 }] },
    };
    const sidecar = await harness.sidecar(
      { destination: () => undefined },
      {
        listeners: [listener(chain("a.example"), pass)],
        clusters: [cluster("app"), cluster("own")],
        endpoints: [
          { cluster: "app", endpoints: [endpoint(app)] },
          { cluster: "own", endpoints: [endpoint(own.port)] },
        ],
        secrets: [certificate("a.example", a)],
      },
    );
    const port = sidecar.portOf("https") ?? 0;
    assert.equal(await visit(port, "a.example", { ca: a }), "200 opened");
    assert.equal(await visit(port, "b.example", { ca: b }), "200 own");
  });
});

async function connected(
  harness: Harness,
  port: number,
  servername: string,
  ca: WebCertificate,
): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, servername, ca: ca.chain });
  harness.atEnd(() => socket.destroy());
  await once(socket, "secureConnect");
  return socket;
}

/** The status line of the answer to one more request on the connection. */
async function ask(socket: TLSSocket): Promise<string> {
  socket.write("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n");
  const [bytes] = (await once(socket, "data")) as [Buffer];
  return bytes.toString("latin1").split("\r\n")[0] ?? "";
}
