/** Mutual TLS between sidecars, and who is allowed what. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp } from "node:net";
import { describe, test } from "node:test";
import { connect, createServer } from "node:tls";
import type { Rbac } from "../../model/proxy-config.ts";
import { Harness, request, snapshot } from "../testing/harness.ts";
import {
  cluster,
  endpoint,
  forward,
  outbound,
  passthrough,
  route,
  upstreamTls,
  virtualHost,
} from "../testing/mesh.ts";
import { createMeshCa, type MeshCa } from "../testing/mesh-ca.ts";
import { client, identity, server } from "../testing/mutual-tls.ts";

const denyAdmin: Rbac = {
  action: "deny",
  policies: [
    {
      name: "ns[shop]-policy[no-admin]-rule[0]",
      permissions: [{ kind: "path", match: { kind: "prefix", value: "/admin" } }],
      principals: [
        {
          kind: "not",
          of: {
            kind: "authenticated",
            match: { kind: "exact", value: "cluster.local/ns/shop/sa/operator" },
          },
        },
      ],
    },
  ],
};
const allowWeb: Rbac = {
  action: "allow",
  policies: [
    {
      name: "ns[shop]-policy[web]-rule[0]",
      permissions: [{ kind: "any" }],
      principals: [{ kind: "authenticated", match: { kind: "suffix", value: "/sa/web" } }],
    },
  ],
};

describe("mutual TLS", () => {
  test("is spoken to an original destination, too, where its cluster has it", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const original = cluster("cart", {
      discovery: { kind: "original-destination" },
      tls: upstreamTls(identity("cart")),
    });
    const { tables } = await harness.sidecar(
      { destination: () => undefined },
      { clusters: [original, passthrough] },
      { secrets: await ca.secrets(identity("web")) },
    );
    const toward = (name: string) =>
      tables.clusters.get(name)?.pick("192.0.2.7", 80, undefined)?.isOfMesh;
    assert.deepEqual([toward("cart"), toward("PassthroughCluster")], [true, false]);
  });

  test("is refused to whoever has no certificate, one of another authority or of another trust domain", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app((_, res) => res.end("ok"));
    const port = await server(harness, ca, app);

    const good = await client(harness, ca, port);
    assert.equal((await request(good.port)).status, 200);

    const stranger = await createMeshCa();
    const [, trust] = await ca.secrets(identity("x"));
    const forged: MeshCa = {
      roots: ca.roots,
      secrets: async (name) => [(await stranger.secrets(name))[0], trust],
    };
    const forger = await client(harness, forged, port);
    assert.equal((await request(forger.port)).status, 503);

    const foreigner = await client(harness, ca, port, { domain: "elsewhere.example" });
    assert.equal((await request(foreigner.port)).status, 503);

    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
    socket.on("error", () => {});
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));

    const plain = await harness.raw(port);
    assert.equal(await plain.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").untilEnd(), "");
  });

  test("is spoken between sidecars of which one leaves it to Node, and between two that do", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app(async (req, res) => {
      let length = 0;
      for await (const bytes of req) length += bytes.length;
      res.end("x".repeat(length));
    });
    const kinds = ["node", "openssl"] as const;
    for (const of of kinds) {
      const port = await server(harness, ca, app, { meshTls: of });
      for (const by of kinds) {
        const web = await client(harness, ca, port, { meshTls: by });
        for (const length of [0, 1_000, 300_000]) {
          const answer = await request(web.port, { method: "POST" }, "y".repeat(length));
          assert.equal(answer.body.length, length, `${by} to ${of}`);
        }
      }
    }
  });

  test("is refused by the client when the server is somebody else than it should be", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app((_, res) => res.end("ok"));
    const port = await server(harness, ca, app, { name: "impostor" });
    const { port: outboundPort } = await client(harness, ca, port);
    const answer = await request(outboundPort);
    assert.deepEqual([answer.status, /connection failure/.test(answer.body)], [503, true]);
    const other = await client(harness, ca, port, {
      expected: [identity("cart"), identity("impostor")],
    });
    assert.equal((await request(other.port)).status, 200);
  });

  test("that is still being agreed when its endpoint goes serves the requests that wait for it", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app((_, res) => res.end("ok"));
    const port = await server(harness, ca, app);
    const arrived = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const slow = await harness.tcpApp((socket) => {
      arrived.resolve();
      void gate.promise.then(() => {
        const upstream = connectTcp({ port, host: "127.0.0.1" });
        socket.on("close", () => upstream.destroy());
        socket.pipe(upstream).pipe(socket);
      });
    });
    const config = (to: number) => ({
      ...outbound([virtualHost(["*"], [route(forward("cart"))])]),
      clusters: [cluster("cart", { protocol: "http/2", tls: upstreamTls() }), passthrough],
      endpoints: [{ cluster: "cart", endpoints: [endpoint(to, { tls: true })] }],
    });
    const secrets = await ca.secrets(identity("web"));
    const web = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      config(slow),
      { secrets },
    );
    const waiting = request(web.portOf("virtualOutbound") ?? 0);
    await arrived.promise;
    await web.apply(snapshot(config(port), { version: "2", secrets }));
    gate.resolve();
    assert.equal((await waiting).status, 200);
  });

  test("tells a cut answer without length from a whole one", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const [{ key, chain }] = await ca.secrets(identity("cart"));
    const settings = { key, cert: chain, ca: ca.roots, requestCert: true };
    const app = createServer({ ...settings, ALPNProtocols: ["http/1.1"] }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", (request: Buffer) => {
        const answer = "HTTP/1.1 200 OK\r\n\r\nso far";
        if (request.includes("/whole")) socket.end(answer);
        else socket.write(answer, () => socket.destroy()); // a FIN alone
      });
    });
    harness.atEnd(() => app.close());
    await once(app.listen(0, "127.0.0.1"), "listening");
    const web = await client(harness, ca, (app.address() as AddressInfo).port);
    assert.equal((await request(web.port, { path: "/whole" })).body, "so far");
    await assert.rejects(request(web.port, { path: "/cut" }), /aborted|ECONNRESET/);
  });

  test("and plain text are both taken where it is permissive, and told apart", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app((req, res) =>
      res.end(String(req.headers["x-forwarded-client-cert"])),
    );
    const port = await server(harness, ca, app, { inbound: {} });
    assert.equal(
      (await request((await client(harness, ca, port)).port)).body,
      `URI=${identity("web")}`,
    );
    const forged = { "x-forwarded-client-cert": `URI=${identity("web")}` };
    assert.equal((await request(port, { headers: forged })).body, "undefined");
  });
});

describe("authorization", () => {
  test("of requests is by verified identity and by the path that goes on", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app((req, res) => res.end(req.url));
    const port = await server(harness, ca, app, { inbound: { rbac: [denyAdmin, allowWeb] } });
    const web = await client(harness, ca, port);
    const other = await client(harness, ca, port, { name: "other" });
    const ask = async (at: number, path: string) => {
      const { status, body } = await request(at, { path });
      return `${status} ${body}`;
    };
    const denied = "403 RBAC: access denied";
    assert.equal(await ask(web.port, "/items"), "200 /items");
    assert.equal(await ask(web.port, "/admin"), denied);
    assert.equal(await ask(other.port, "/items"), denied);
    assert.equal(await ask(port, "/items"), denied); // in the clear: nobody
    // what would reach the application as /admin is judged as /admin
    assert.equal(await ask(web.port, "/x/../admin"), denied);
    assert.equal(await ask(web.port, "/%61dmin"), denied);
    assert.equal(await ask(web.port, "/.\\admin"), denied);
    assert.equal(await ask(web.port, "/x/..%2fadmin"), "200 /x/..%2Fadmin");
  });

  test("by remote address refuses a client behind a gateway, whose own address the connection has", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app((req, res) => res.end(req.url));
    const banned: Rbac = {
      action: "deny",
      policies: [
        {
          name: "banned",
          permissions: [{ kind: "any" }],
          principals: [{ kind: "remote-ip", cidr: "203.0.113.0/24" }],
        },
      ],
    };
    const port = await server(harness, ca, app, { inbound: { rbac: [banned] } });
    const { port: gateway } = await client(harness, ca, port);
    const statusFor = async (forwarded: string) =>
      (await request(gateway, { headers: { "x-forwarded-for": forwarded } })).status;
    assert.equal(await statusFor("203.0.113.7"), 403);
    assert.equal(await statusFor("192.0.2.1, 203.0.113.7"), 403);
    assert.equal(
      await statusFor("203.0.113.7, 192.0.2.1"),
      200,
      "said by whoever came to 192.0.2.1",
    );
    assert.equal((await request(gateway)).status, 200);
  });

  test("of connections closes them before a byte goes through", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    let connections = 0;
    const app = await harness.tcpApp((socket) => {
      connections++;
      socket.end("secret");
    });
    const port = await server(harness, ca, app, { inbound: { isTcp: true, rbac: [allowWeb] } });
    const plain = await harness.raw(port);
    assert.equal(await plain.send("x").untilEnd(), "");
    assert.equal(connections, 0);
  });
});
