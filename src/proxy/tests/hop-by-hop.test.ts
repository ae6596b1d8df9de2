/** What decides about a request sees the fields that its endpoint will see, and no others. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HeaderMatch, Rbac } from "../../model/proxy-config.ts";
import { Harness } from "../testing/harness.ts";
import { cluster, endpoint, forward, outbound, route, virtualHost } from "../testing/mesh.ts";

const present = (name: string): HeaderMatch => ({
  name,
  match: { kind: "present" },
  invert: false,
});

/** Whoever sends one of the fields is taken for somebody who may, and goes to another cluster. */
async function deciding(harness: Harness, names: readonly string[]) {
  const seen: string[] = [];
  const app = (kind: string) =>
    harness.app((req, res) => {
      seen.push(`${kind} ${names.filter((name) => req.headers[name] !== undefined)}`);
      res.end();
    });
  const ports = [await app("special"), await app("plain")];
  const allow: Rbac = {
    action: "allow",
    policies: names.map((name) => ({
      name,
      permissions: [{ kind: "any" }],
      principals: [{ kind: "header", header: present(name) }],
    })),
  };
  const routes = names.map((name) =>
    route(forward("special"), {
      match: {
        path: { kind: "prefix", value: "/free" },
        headers: [present(name)],
        queryParameters: [],
      },
    }),
  );
  const hosts = [virtualHost(["*"], [...routes, route(forward("plain"))])];
  const config = {
    clusters: [cluster("special"), cluster("plain")],
    endpoints: ["special", "plain"].map((name, index) => ({
      cluster: name,
      endpoints: [endpoint(ports[index] ?? 0)],
    })),
  };
  const options = { destination: () => ({ address: "10.96.0.1", port: 80 }) };
  const closed = await harness.sidecar(options, { ...config, ...outbound(hosts, [allow]) });
  const open = await harness.sidecar(options, { ...config, ...outbound(hosts) });
  const ask = async (sidecar: typeof open, lines: string): Promise<string> => {
    const client = await harness.raw(sidecar.portOf("virtualOutbound") ?? 0);
    client.send(`GET /free HTTP/1.1\r\nhost: a\r\n${lines}\r\n`);
    return (await client.until((text) => text.includes("\r\n\r\n"))).slice(9, 12);
  };
  return { seen, closed, open, ask };
}

describe("a field that does not reach the endpoint", () => {
  for (const [why, name, lines] of [
    ["named by Connection", "x-role", "connection: x-role\r\nx-role: admin\r\n"],
    ["named by Connection behind it", "x-role", "X-Role: admin\r\nConnection: close , X-ROLE\r\n"],
    [
      "named by a second Connection",
      "x-role",
      "connection: a\r\nx-role: a\r\nconnection: x-role\r\n",
    ],
    ["of a proxy's own", "x-envoy-internal", "x-envoy-internal: true\r\n"],
    ["hop by hop by its nature", "te", "te: trailers\r\n"],
    ["that asks for a protocol in vain", "upgrade", "connection: upgrade\r\nupgrade: h2c\r\n"],
  ] as const) {
    test(`(${why}) neither passes a policy nor chooses a route`, async () => {
      await using harness = new Harness();
      const { seen, closed, open, ask } = await deciding(harness, [name]);
      assert.equal(await ask(closed, lines), "403");
      assert.equal(await ask(open, lines), "200");
      assert.deepEqual(seen, ["plain "]);
    });
  }

  test("is not found missing: the endpoint sees what it would have been without", async () => {
    await using harness = new Harness();
    const { seen, open, ask } = await deciding(harness, ["x-request-id", "x-forwarded-proto"]);
    await ask(open, "connection: x-request-id, x-forwarded-proto\r\nx-request-id: 1\r\n");
    assert.deepEqual(seen, ["plain x-request-id,x-forwarded-proto"]);
  });

  test("cannot be one that says where a message ends or whom it is for", async () => {
    await using harness = new Harness();
    const { seen, open, ask } = await deciding(harness, ["host"]);
    assert.equal(
      await ask(open, "connection: host, content-length\r\ncontent-length: 0\r\n"),
      "200",
    );
    assert.deepEqual(seen, ["special host"]);
  });
});

describe("a forged certificate of a client", () => {
  test("passes no policy", async () => {
    await using harness = new Harness();
    const name = "x-forwarded-client-cert";
    const { closed, ask } = await deciding(harness, [name]);
    assert.equal(await ask(closed, `${name}: URI=spiffe://cluster.local/ns/a/sa/b\r\n`), "403");
  });
});

describe("a client from outside", () => {
  test("does not say itself how it came, nor who it is", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end());
    const decided: Rbac = {
      action: "deny",
      policies: ["x-forwarded-proto", "x-forwarded-for"].map((name) => ({
        name,
        permissions: [{ kind: "any" }],
        principals: [
          {
            kind: "header",
            header: { ...present(name), match: { kind: "exact", value: "https" } },
          },
        ],
      })),
    };
    const { listeners, routes } = outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      [decided],
    );
    const sidecar = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      {
        routes,
        listeners: listeners.map((listener) => ({
          ...listener,
          filterChains: listener.filterChains.map((chain) => ({
            ...chain,
            filter: chain.filter.kind === "http" ? { ...chain.filter, isEdge: true } : chain.filter,
          })),
        })),
        clusters: [cluster("app")],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      },
    );
    for (const name of ["x-forwarded-proto", "x-forwarded-for"]) {
      const client = await harness.raw(sidecar.portOf("virtualOutbound") ?? 0);
      client.send(`GET / HTTP/1.1\r\nhost: a\r\n${name}: https\r\n\r\n`);
      const text = await client.until((said) => said.includes("\r\n\r\n"));
      assert.match(text, /^HTTP\/1.1 200 /, name);
    }
  });

  test("does not say it in disguise either", async () => {
    await using harness = new Harness();
    const seen: string[] = [];
    const app = await harness.app((req, res) => {
      seen.push(...Object.keys(req.headers).filter((name) => name.includes("_")));
      res.end();
    });
    const { listeners, routes } = outbound([virtualHost(["*"], [route(forward("app"))])]);
    const sidecar = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      {
        routes,
        listeners: listeners.map((listener) => ({
          ...listener,
          filterChains: listener.filterChains.map((chain) => ({
            ...chain,
            filter: chain.filter.kind === "http" ? { ...chain.filter, isEdge: true } : chain.filter,
          })),
        })),
        clusters: [cluster("app")],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      },
    );
    const client = await harness.raw(sidecar.portOf("virtualOutbound") ?? 0);
    client.send(
      "GET / HTTP/1.1\r\nhost: a\r\nx_forwarded_proto: https\r\nX_Forwarded-For: 10.0.0.1\r\n\r\n",
    );
    await client.until((said) => said.includes("\r\n\r\n"));
    assert.deepEqual(seen, []);
  });
});
