import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import { createServer, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { before, describe, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import type {
  DownstreamTls,
  FilterChain,
  Listener,
  OriginateTls,
  RbacPolicy,
  Secret,
} from "../model/proxy-config.ts";
import type { Sidecar } from "./sidecar.ts";
import { Harness, request, snapshot } from "./testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "./testing/mesh.ts";
import { type WebCertificate, webCertificate } from "./testing/web-certificate.ts";

let a: WebCertificate;
let b: WebCertificate;
let friend: WebCertificate;

before(() => {
  [a, b, friend] = ["a.example", "b.example", "friend.example"].map((name) =>
    webCertificate(name),
  ) as [WebCertificate, WebCertificate, WebCertificate];
});

const certificate = (name: string, from: WebCertificate): Secret => ({
  kind: "certificate",
  name,
  ...from,
});
const roots = (name: string, from: WebCertificate): Secret => ({
  kind: "validation",
  name,
  roots: from.chain,
});

function tls(name: string, more: Partial<DownstreamTls> = {}): DownstreamTls {
  return {
    requireClientCertificate: false,
    alpn: ["h2", "http/1.1"],
    certificate: name,
    clients: { kind: "anyone", names: [], leastVersion: "TLSv1.2" },
    ...more,
  };
}

/** A server for one name, which sends everything to the application. */
function chain(name: string, more: Partial<FilterChain> = {}): FilterChain {
  return {
    name,
    match: { transport: "tls", serverNames: [name] },
    tls: tls(name),
    rbac: [],
    filter: {
      kind: "http",
      statPrefix: name,
      rbac: [],
      isEdge: true,
      routes: {
        kind: "inline",
        config: { name, virtualHosts: [virtualHost(["*"], [route(forward("app"))])] },
      },
    },
    ...more,
  };
}

function listener(...filterChains: readonly FilterChain[]): Listener {
  return {
    name: "https",
    direction: "outbound",
    address: "127.0.0.1",
    port: 0,
    bindToPort: true,
    useOriginalDestination: false,
    filterChains,
  };
}

interface Gateway {
  readonly sidecar: Sidecar;
  readonly port: number;
  readonly apply: (chains: readonly FilterChain[], secrets: readonly Secret[]) => Promise<void>;
}

async function gateway(
  harness: Harness,
  app: number,
  chains: readonly FilterChain[],
  secrets: readonly Secret[],
): Promise<Gateway> {
  const config = (filterChains: readonly FilterChain[], own: readonly Secret[]) => ({
    listeners: [listener(...filterChains)],
    clusters: [cluster("app")],
    endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    secrets: own,
  });
  const options = { destination: () => undefined };
  const sidecar = await harness.sidecar(options, config(chains, secrets));
  return {
    sidecar,
    port: sidecar.portOf("https") ?? 0,
    apply: (next, own) => sidecar.apply(snapshot(config(next, own))),
  };
}

interface Visit {
  readonly ca: WebCertificate;
  readonly as?: WebCertificate;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request by name; `closed` where the connection was. */
async function visit(port: number, name: string, { ca, as, headers }: Visit): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const own = as === undefined ? {} : { cert: as.chain, key: as.key };
  const options = { host: "127.0.0.1", port, servername: name, agent: false, ca: ca.chain };
  const sent = httpsRequest({ ...options, ...own, headers: { host: name, ...headers } }, (res) => {
    let text = "";
    res.on("data", (bytes) => {
      text += bytes;
    });
    res.on("end", () => resolve(`${res.statusCode} ${text}`));
  });
  sent.on("error", () => resolve("closed"));
  sent.end();
  return promise;
}

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

interface SecureApp {
  readonly port: number;
  /** What clients asked for. */
  readonly names: string[];
  readonly fields: Set<string>;
}

/** An application with TLS of its own; `clients`: whose certificate it demands. */
async function secureApp(
  harness: Harness,
  own: WebCertificate,
  clients?: WebCertificate,
): Promise<SecureApp> {
  const names: string[] = [];
  const fields = new Set<string>();
  const demands =
    clients === undefined ? {} : { ca: clients.chain, requestCert: true, rejectUnauthorized: true };
  const server = createServer({ cert: own.chain, key: own.key, ...demands }, (req, res) => {
    for (const name of Object.keys(req.headers)) fields.add(name);
    res.end("own");
  });
  server.on("secureConnection", (socket: TLSSocket & { readonly servername?: string }) => {
    names.push(socket.servername ?? "");
  });
  server.on("tlsClientError", () => {});
  await once(server.listen(0, "127.0.0.1"), "listening");
  harness.atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, names, fields };
}

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
