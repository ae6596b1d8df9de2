/** Clients outside of the mesh, as gateways see them: what is believed of what they say, and what is told of them. */

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { before, describe, test } from "node:test";
import type { FilterChain, RbacPolicy } from "../../model/proxy-config.ts";
import { certificate, chain, gateway, listener, roots, tls, visit } from "../testing/gateway.ts";
import { Harness, request } from "../testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";
import { type WebCertificate, webCertificate } from "../testing/web-certificate.ts";

let a: WebCertificate;
let friend: WebCertificate;

before(() => {
  a = webCertificate("a.example");
  friend = webCertificate("friend.example");
});

describe("clients from outside", () => {
  test("are said to be where they are, whatever they say themselves", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => {
      res.end(`${req.headers["x-forwarded-proto"]} ${req.headers["x-forwarded-for"]}`);
    });
    const { port } = await gateway(
      harness,
      app,
      [chain("a.example")],
      [certificate("a.example", a)],
    );
    assert.equal(await visit(port, "a.example", { ca: a }), "200 https 127.0.0.1");
    const headers = { "x-forwarded-proto": "gopher", "x-forwarded-for": "192.0.2.1" };
    const answer = await visit(port, "a.example", { ca: a, headers });
    assert.equal(answer, "200 https 192.0.2.1,127.0.0.1");
  });

  test("are where the proxies in front say, as many of those as are trusted", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => {
      res.end(`${req.headers["x-forwarded-proto"]} ${req.headers["x-forwarded-for"]}`);
    });
    const policy: RbacPolicy = {
      name: "office",
      permissions: [{ kind: "any" }],
      principals: [{ kind: "remote-ip", cidr: "203.0.113.0/24" }],
    };
    const asked = async (trustedProxies: number, forwarded: string): Promise<string> => {
      const { filter } = chain("a.example");
      if (filter.kind !== "http") throw new Error("want HTTP");
      const rbac = [{ action: "allow", policies: [policy] }] as const;
      const chains = [chain("a.example", { filter: { ...filter, rbac, trustedProxies } })];
      const { port } = await gateway(harness, app, chains, [certificate("a.example", a)]);
      const headers = { "x-forwarded-for": forwarded, "x-forwarded-proto": "http" };
      return visit(port, "a.example", { ca: a, headers });
    };
    assert.match(await asked(0, "203.0.113.7"), /^403/);
    assert.equal(await asked(1, "203.0.113.7"), "200 http 203.0.113.7,127.0.0.1");
    assert.equal(
      await asked(2, "203.0.113.7, 198.51.100.1"),
      "200 http 203.0.113.7, 198.51.100.1,127.0.0.1",
    );
    assert.match(await asked(1, "203.0.113.7, 198.51.100.1"), /^403/, "before the trusted one");
    assert.match(await asked(2, "203.0.113.7"), /^403/, "fewer than are trusted");
    assert.match(await asked(1, "203.0.113.7:80"), /^403/, "no address");
  });

  test("are told apart behind a trusted proxy: by consistent hashing, edits and the log", async () => {
    await using harness = new Harness();
    const lines: string[] = [];
    const endpoints = await Promise.all(
      ["a", "b", "c", "d"].map(async (name) =>
        endpoint(
          await harness.app(({ headers }, res) =>
            res.end(`${name} ${headers["x-who"]} ${headers["x-envoy-external-address"]}`),
          ),
        ),
      ),
    );
    const requestHeaders = {
      set: [["x-who", "%DOWNSTREAM_REMOTE_ADDRESS%"]] as const,
      add: [],
      remove: [],
    };
    const action = forward("app", { hash: [{ kind: "source-ip" }] });
    const hosts = [virtualHost(["*"], [route(action, { requestHeaders })])];
    const filter: FilterChain["filter"] = {
      kind: "http",
      statPrefix: "http",
      rbac: [],
      isEdge: true,
      trustedProxies: 1,
      accessLog: true,
      routes: { kind: "inline", config: { name: "http", virtualHosts: hosts } },
    };
    const balancer = { kind: "ring-hash", minimumRingSize: 1_024 } as const;
    const sidecar = await harness.sidecar(
      { destination: () => undefined, accessLog: (line) => lines.push(line) },
      {
        listeners: [listener({ name: "http", match: {}, rbac: [], filter })],
        clusters: [cluster("app", { balancer })],
        endpoints: [{ cluster: "app", endpoints }],
      },
    );
    const port = sidecar.portOf("https") ?? 0;
    const asked = async (from: string) =>
      (await request(port, { headers: { "x-forwarded-for": from } })).body;
    const met = new Set<string | undefined>();
    for (let client = 1; client <= 50; client++) {
      const address = `203.0.113.${client}`;
      const answer = await asked(address);
      assert.equal(answer, await asked(address));
      const [name, who, external] = answer.split(" ");
      met.add(name);
      assert.deepEqual([who, external], [`${address}:0`, address]);
    }
    assert(met.size > 1);
    assert.equal(JSON.parse(lines[0] ?? "{}").downstream_remote_address, "203.0.113.1");
  });

  test("do not say what only proxies may: neither the application nor a route hears it", async () => {
    await using harness = new Harness();
    const seen: Record<string, unknown>[] = [];
    const app = await harness.app((req, res) => {
      seen.push(req.headers);
      res.end("all");
    });
    const header = {
      name: "x-envoy-original-path",
      match: { kind: "present" },
      invert: false,
    } as const;
    const path = { kind: "prefix", value: "/" } as const;
    const hosts = [
      virtualHost(
        ["*"],
        [
          route(
            { kind: "respond", status: 200, body: "fooled" },
            { match: { path, headers: [header], queryParameters: [] } },
          ),
          route(forward("app")),
        ],
      ),
    ];
    const filter = {
      ...chain("a.example").filter,
      routes: { kind: "inline", config: { name: "a", virtualHosts: hosts } },
    };
    const { port } = await gateway(
      harness,
      app,
      [chain("a.example", { filter: filter as FilterChain["filter"] })],
      [certificate("a.example", a)],
    );
    const names = [
      "decorator-operation",
      "external-address",
      "original-host",
      "original-path",
      "peer-metadata",
    ];
    const headers = Object.fromEntries(names.map((name) => [`x-envoy-${name}`, "forged"]));
    assert.equal(await visit(port, "a.example", { ca: a, headers }), "200 all");
    assert.deepEqual(
      Object.entries(seen[0] ?? {}).filter(([, value]) => value === "forged"),
      [],
    );
    assert.equal(seen[0]?.["x-envoy-external-address"], "127.0.0.1", "who asks, as Envoy says it");
  });

  test("with a certificate are told to the application by it, and cannot write that themselves", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => {
      res.end(String(req.headers["x-forwarded-client-cert"]));
    });
    const mutual = tls("a.example", { requireClientCertificate: true, validation: "friends" });
    const { port } = await gateway(
      harness,
      app,
      [chain("a.example", { tls: mutual })],
      [certificate("a.example", a), roots("friends", friend)],
    );
    const headers = { "x-forwarded-client-cert": 'Subject="CN=admin"' };
    const told = await visit(port, "a.example", { ca: a, as: friend, headers });
    const { fingerprint256 } = new X509Certificate(friend.chain);
    const hash = fingerprint256.replaceAll(":", "").toLowerCase();
    assert.equal(
      told.replace(/Cert="[^"]*"/, (cert) => decodeURIComponent(cert)),
      `200 Hash=${hash};Cert="${friend.chain}";Subject="CN=friend.example";DNS=friend.example`,
    );
  });
});

describe("clients from outside, as to x-request-id,", () => {
  test("get an id of their own, which logs and rules know them by, and not one that they took", async () => {
    await using harness = new Harness();
    const ids: (string | undefined)[] = [];
    const app = await harness.app((req, res) => {
      ids.push(String(req.headers["x-request-id"]));
      res.end("ok");
    });
    const lines: Record<string, unknown>[] = [];
    const taken = "11111111-2222-4333-8444-555555555555";
    const plain = chain("a.example");
    if (plain.filter.kind !== "http") throw new Error("no HTTP");
    const deny = {
      action: "deny" as const,
      policies: [
        {
          name: "known",
          permissions: [
            {
              kind: "header" as const,
              header: {
                name: "x-request-id",
                match: { kind: "exact" as const, value: taken },
                invert: false,
              },
            },
          ],
          principals: [{ kind: "any" as const }],
        },
      ],
    };
    const sidecar = await harness.sidecar(
      { destination: () => undefined, accessLog: (line) => lines.push(JSON.parse(line)) },
      {
        listeners: [
          listener({ ...plain, filter: { ...plain.filter, rbac: [deny], accessLog: true } }),
        ],
        clusters: [cluster("app")],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
        secrets: [certificate("a.example", a)],
      },
    );
    const headers = { "x-request-id": taken };
    const port = sidecar.portOf("https") ?? 0;
    assert.equal(await visit(port, "a.example", { ca: a, headers }), "200 ok");
    assert.equal(await visit(port, "a.example", { ca: a }), "200 ok");
    assert.equal(new Set([taken, ...ids]).size, 3);
    for (const id of ids) assert.match(id ?? "", /^[0-9a-f-]{36}$/);
    assert.deepEqual(
      lines.map((line) => line["request_id"]),
      ids,
    );
  });
});
