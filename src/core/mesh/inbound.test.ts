/** What a pod's sidecar lets in: mesh TLS modes and authorization, as Istio decides them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { encodeProxyConfig } from "../../wire/xds/proxy-config.ts";
import type { World } from "../registry/world.ts";
import { type InboundRequest, walkInbound } from "./walk.ts";

const shop = `
  pods:
    shop/web: {}
    shop/cart: { labels: { app: cart, version: v1 } }
    shop/db: {}
    other/guest: {}
  services:
    shop/cart: { ports: { http: 80>8080, main: 9000 } }
    shop/db: { ports: { tcp-sql: 5432 } }
`;
const web = "cluster.local/ns/shop/sa/web";
const guest = "cluster.local/ns/other/sa/guest";
const mesh = (principal = web): NonNullable<InboundRequest["tls"]> => ({ kind: "mesh", principal });
const http = (
  path = "/",
  method = "GET",
  headers: Readonly<Record<string, string>> = {},
): NonNullable<InboundRequest["http"]> => ({ host: "cart", path, method, headers });

function verdict(world: World, pod: string, request: InboundRequest): string {
  return walkInbound(compileFor(world, pod).value, request).verdict;
}

function peerAuthentication(spec: string, namespace = "shop"): string {
  return `kind: PeerAuthentication\nmetadata: { name: pa, namespace: ${namespace} }\nspec: ${spec}`;
}

function policy(spec: string, namespace = "shop", name = "policy"): string {
  return `kind: AuthorizationPolicy\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: ${spec}`;
}

describe("a Service with a local rate limit", () => {
  test("limits its pods' HTTP ports, and no others", () => {
    const limited = shop.replace(
      "main: 9000 } }",
      'main: 9000 }, annotations: { heddle.dev/local-rate-limit: \'{"requests":5,"per":"1m","burst":9}\' } }',
    );
    const limits = (pod: string) =>
      compileFor(meshWorld(limited), pod)
        .value.listeners.filter(({ direction }) => direction === "inbound")
        .flatMap(({ filterChains }) => filterChains)
        .flatMap(({ name, filter }) =>
          filter.kind === "http" && filter.rateLimit !== undefined
            ? [`${name} ${Object.values(filter.rateLimit).join(" ")}`]
            : [],
        );
    assert.deepEqual(limits("shop/cart"), [
      "0.0.0.0_8080-mesh-http 9 5 60000",
      "0.0.0.0_8080-plain-http 9 5 60000",
      "0.0.0.0_9000-mesh-http 9 5 60000",
      "0.0.0.0_9000-plain-http 9 5 60000",
    ]);
    assert.deepEqual(limits("shop/web"), []);
  });
});

describe("a Service with a global rate limit", () => {
  test("hands equal parts of it to its ready pods, whoever looks", () => {
    const notation = (count: number) => `
  pods:
${Array.from({ length: 4 }, (_, i) => `    shop/cart-${i}: { labels: { app: cart }, ready: ${i < count} }`).join("\n")}
  services:
    shop/cart: { ports: { http: 80 }, annotations: { heddle.dev/global-rate-limit: '{"requests":100,"burst":30}' } }
`;
    const part = (count: number, pod: string) => {
      const { listeners } = compileFor(meshWorld(notation(count)), pod).value;
      const chains = listeners.find(({ name }) => name === "virtualInbound")?.filterChains ?? [];
      return chains.flatMap(({ filter }) =>
        filter.kind === "http" ? (filter.rateLimit ?? []) : [],
      )[0];
    };
    const quarter = { maxTokens: 7, tokensPerFill: 100, fillIntervalMs: 4_000 };
    assert.deepEqual(part(4, "shop/cart-0"), quarter);
    assert.deepEqual(part(4, "shop/cart-3"), quarter);
    assert.deepEqual(part(2, "shop/cart-0"), { ...quarter, maxTokens: 15, fillIntervalMs: 2_000 });
    assert.deepEqual(part(0, "shop/cart-0"), { ...quarter, maxTokens: 30, fillIntervalMs: 1_000 });
  });
});

describe("a port's mode", () => {
  const requests: Readonly<Record<string, InboundRequest>> = {
    "mesh TLS with HTTP": { port: 8080, tls: mesh(), http: http() },
    "plain HTTP": { port: 8080, http: http() },
    "an application's TLS": { port: 8080, tls: { kind: "own" } },
    "mesh TLS with TCP": { port: 5432, tls: mesh() },
    "plain TCP": { port: 5432 },
    "mesh TLS to a port that nobody named": { port: 9000, tls: mesh(), http: http() },
    "an application's TLS to a port that nobody named": { port: 9000, tls: { kind: "own" } },
    "plain HTTP to a port of no Service": { port: 7777, http: http() },
    "an application's TLS to a port of no Service": { port: 7777, tls: { kind: "own" } },
  };
  const strict = "{ mtls: { mode: STRICT } }";
  const strictCloses = Object.keys(requests)
    .filter((name) => !name.startsWith("mesh"))
    .join(", ");
  const cases: readonly (readonly [name: string, documents: readonly string[], closed: string])[] =
    [
      ["is PERMISSIVE by default", [], ""],
      ["UNSET inherits", [peerAuthentication("{ mtls: { mode: UNSET } }")], ""],
      ["STRICT closes what is not the mesh's", [peerAuthentication(strict)], strictCloses],
      [
        "STRICT for the mesh holds in every namespace",
        [peerAuthentication(strict, "istio-system")],
        strictCloses,
      ],
      [
        "of the namespace overrides the mesh's",
        [
          peerAuthentication(strict, "istio-system"),
          peerAuthentication("{ mtls: { mode: PERMISSIVE } }"),
        ],
        "",
      ],
      [
        "of a workload overrides the namespace's, for that workload",
        [
          peerAuthentication(strict),
          peerAuthentication(
            "{ selector: { matchLabels: { app: cart } }, mtls: { mode: PERMISSIVE } }",
          ).replace("name: pa", "name: cart"),
        ],
        "plain TCP",
      ],
      [
        "of a port overrides the workload's",
        [
          peerAuthentication(
            "{ selector: { matchLabels: { app: cart } }, mtls: { mode: STRICT }, portLevelMtls: { 8080: { mode: PERMISSIVE } } }",
          ),
        ],
        "an application's TLS to a port that nobody named, plain HTTP to a port of no Service, an application's TLS to a port of no Service",
      ],
      ["of another namespace says nothing here", [peerAuthentication(strict, "other")], ""],
    ];
  for (const [name, documents, closed] of cases) {
    test(name, () => {
      const world = meshWorld(shop, ...documents);
      const actual = Object.entries(requests)
        .filter(([, request]) => {
          const pod = request.port === 5432 ? "shop/db" : "shop/cart";
          return verdict(world, pod, request) === "close";
        })
        .map(([name]) => name);
      assert.equal(actual.join(", "), closed);
    });
  }

  test("DISABLE takes plain connections and passes TLS on unopened", () => {
    const world = meshWorld(shop, peerAuthentication("{ mtls: { mode: DISABLE } }"));
    const { value } = compileFor(world, "shop/cart");
    assert.equal(walkInbound(value, { port: 8080, http: http() }).verdict, "allow");
    const passed = walkInbound(value, { port: 8080, tls: { kind: "own" } });
    assert.deepEqual([passed.verdict, passed.isMutual], ["allow", false]);
  });

  test("tells mutual from plain", () => {
    const { value } = compileFor(meshWorld(shop), "shop/cart");
    assert.equal(walkInbound(value, { port: 8080, tls: mesh(), http: http() }).isMutual, true);
    assert.equal(walkInbound(value, { port: 8080, http: http() }).isMutual, false);
  });
});

describe("authorization", () => {
  test("by remote address is by what the gateway said, and by source address by the gateway's", () => {
    const banned = (field: string) => `
kind: AuthorizationPolicy
metadata: { name: banned }
spec: { action: DENY, rules: [{ from: [{ source: { ${field}: [203.0.113.0/24] } }] }] }
`;
    const headers = { "x-forwarded-for": "203.0.113.7" };
    const asked = {
      port: 8080,
      tls: mesh(),
      http: { ...http(), headers },
      sourceAddress: "10.244.0.9",
    };
    const verdictOf = (field: string) =>
      verdict(meshWorld(shop, banned(field)), "shop/cart", asked);
    assert.equal(verdictOf("remoteIpBlocks"), "deny");
    assert.equal(verdictOf("ipBlocks"), "allow");
  });

  /** Verdicts for: GET / from web, GET / from guest, POST /x from web, plain GET /. */
  const probe = (documents: readonly string[]): string => {
    const world = meshWorld(shop, ...documents);
    return [
      { port: 8080, tls: mesh(), http: http() },
      { port: 8080, tls: mesh(guest), http: http() },
      { port: 8080, tls: mesh(), http: http("/x", "POST") },
      { port: 8080, http: http(), sourceAddress: "10.244.0.9" },
    ]
      .map((request) => verdict(world, "shop/cart", request))
      .join(" ");
  };

  const cases: readonly (readonly [name: string, specs: readonly string[], verdicts: string])[] = [
    ["without policies lets everything in", [], "allow allow allow allow"],
    ["with an empty spec denies everything", ["{}"], "deny deny deny deny"],
    ["ALLOW with an empty rule allows everything", ["{ rules: [{}] }"], "allow allow allow allow"],
    [
      "allows by principal",
      [`{ rules: [{ from: [{ source: { principals: ["${web}"] } }] }] }`],
      "allow deny allow deny",
    ],
    [
      "opens no pod by what is for a gateway or a waypoint",
      [
        `{ rules: [{ from: [{ source: { principals: ["${web}"] } }] }] }`,
        "{ targetRefs: [{ kind: Service, name: cart }], rules: [{}] }",
      ],
      "allow deny allow deny",
    ],
    [
      "takes asterisks at either end of a principal",
      [`{ rules: [{ from: [{ source: { principals: ["*/sa/web"] } }] }] }`],
      "allow deny allow deny",
    ],
    [
      "takes any proven identity for an asterisk",
      [`{ rules: [{ from: [{ source: { principals: ["*"] } }] }] }`],
      "allow allow allow deny",
    ],
    [
      "allows by namespace",
      ["{ rules: [{ from: [{ source: { namespaces: [shop] } }] }] }"],
      "allow deny allow deny",
    ],
    [
      "allows all but a namespace, the unproven among them",
      ["{ rules: [{ from: [{ source: { notNamespaces: [shop] } }] }] }"],
      "deny allow deny allow",
    ],
    [
      "allows by service account, of the policy's namespace or another",
      ["{ rules: [{ from: [{ source: { serviceAccounts: [web, other/guest] } }] }] }"],
      "allow allow allow deny",
    ],
    [
      "allows by address",
      ["{ rules: [{ from: [{ source: { ipBlocks: [10.244.0.0/24] } }] }] }"],
      "deny deny deny allow",
    ],
    [
      "allows by method and path, together",
      [`{ rules: [{ to: [{ operation: { methods: [POST], paths: ["/x*"] } }] }] }`],
      "deny deny allow deny",
    ],
    [
      "takes alternatives of one list, and all fields of an alternative",
      [
        `{ rules: [{ from: [{ source: { namespaces: [other] } }, { source: { namespaces: [shop] } }], to: [{ operation: { methods: [GET] } }] }] }`,
      ],
      "allow allow deny deny",
    ],
    [
      "asks conditions in addition",
      [
        `{ rules: [{ from: [{ source: { namespaces: [shop, other] } }], when: [{ key: source.principal, notValues: ["${guest}"] }] }] }`,
      ],
      "allow deny allow deny",
    ],
    [
      "denies before it allows",
      [
        "{ rules: [{}] }",
        "{ action: DENY, rules: [{ from: [{ source: { namespaces: [other] } }] }] }",
      ],
      "allow deny allow allow",
    ],
    [
      "denies what a rule names and lets the rest in",
      ["{ action: DENY, rules: [{ to: [{ operation: { methods: [POST] } }] }] }"],
      "allow allow deny allow",
    ],
    ["DENY without rules denies nothing", ["{ action: DENY }"], "allow allow allow allow"],
    [
      "of a selector that does not fit says nothing",
      ["{ selector: { matchLabels: { app: db } } }"],
      "allow allow allow allow",
    ],
    [
      "by a condition that is not known yet allows nothing",
      [`{ rules: [{ when: [{ key: "request.auth.claims[iss]", values: [x] }] }] }`],
      "deny deny deny deny",
    ],
    [
      "by a condition that is not known yet denies without asking it",
      [
        `{ action: DENY, rules: [{ from: [{ source: { namespaces: [other], requestPrincipals: [x] } }] }] }`,
      ],
      "allow deny allow allow",
    ],
    [
      "CUSTOM refuses what it would have asked about",
      [
        "{ action: CUSTOM, provider: { name: x }, rules: [{ to: [{ operation: { methods: [POST] } }] }] }",
      ],
      "allow allow deny allow",
    ],
    ["AUDIT decides nothing", ["{ action: AUDIT, rules: [{}] }"], "allow allow allow allow"],
  ];
  for (const [name, specs, verdicts] of cases) {
    test(name, () => {
      const documents = specs.map((spec, index) => policy(spec, "shop", `policy-${index}`));
      assert.equal(probe(documents), verdicts);
    });
  }

  test("of the root namespace holds in every namespace, of another namespace nowhere else", () => {
    assert.equal(probe([policy("{}", "istio-system")]), "deny deny deny deny");
    assert.equal(probe([policy("{}", "other")]), "allow allow allow allow");
  });

  test("by header, host and path template reads the request", () => {
    const rules = `{ rules: [{ to: [{ operation: { hosts: ["CART"], paths: ["/users/{*}/orders"] } }], when: [{ key: "request.headers[X-Role]", values: [admin] }] }] }`;
    const world = meshWorld(shop, policy(rules));
    const at = (path: string, role: string): string =>
      verdict(world, "shop/cart", {
        port: 8080,
        tls: mesh(),
        http: http(path, "GET", { "x-role": role }),
      });
    assert.equal(at("/users/7/orders", "admin"), "allow");
    assert.equal(at("/users/7/8/orders", "admin"), "deny");
    assert.equal(at("/users/7/orders", "guest"), "deny");
  });

  test("names the rule that decided", () => {
    const world = meshWorld(
      shop,
      policy(
        "{ action: DENY, rules: [{ to: [{ operation: { methods: [PUT] } }] }, { to: [{ operation: { methods: [POST] } }] }] }",
      ),
    );
    const walk = walkInbound(compileFor(world, "shop/cart").value, {
      port: 8080,
      http: http("/", "POST"),
    });
    assert.equal(walk.by, "ns[shop]-policy[policy]-rule[1]");
  });

  describe("of a TCP port", () => {
    const at = (spec: string, principal?: string): string =>
      verdict(meshWorld(shop, policy(spec)), "shop/db", {
        port: 5432,
        ...(principal === undefined ? {} : { tls: mesh(principal) }),
      });

    test("allows by what a connection shows", () => {
      const spec = `{ rules: [{ from: [{ source: { principals: ["${web}"] } }], to: [{ operation: { ports: ["5432"] } }] }] }`;
      assert.equal(at(spec, web), "allow");
      assert.equal(at(spec, guest), "deny");
      assert.equal(at(spec), "deny");
    });

    test("drops an ALLOW rule that asks about requests", () => {
      const spec = "{ rules: [{ to: [{ operation: { methods: [GET] } }] }] }";
      assert.equal(at(spec, web), "deny");
    });

    test("keeps a DENY rule without what it asks about requests", () => {
      const spec =
        "{ action: DENY, rules: [{ from: [{ source: { namespaces: [other] } }], to: [{ operation: { methods: [GET] } }] }] }";
      assert.equal(at(spec, web), "allow");
      assert.equal(at(spec, guest), "deny");
      const only = "{ action: DENY, rules: [{ to: [{ operation: { methods: [GET] } }] }] }";
      assert.equal(at(only, web), "deny");
    });
  });
});

describe("notes on what comes in", () => {
  const notes = (...documents: readonly string[]): readonly string[] =>
    compileFor(meshWorld(shop, ...documents), "shop/cart").diagnostics.map(
      ({ code, where }) => `${code} ${where}`,
    );

  test("name a policy for kinds that are not there", () => {
    assert.deepEqual(
      notes(policy(`{ targetRefs: [{ kind: Service, name: cart }], rules: [{}] }`)),
      ["HEDDLE0116 AuthorizationPolicy shop/policy spec.targetRefs"],
    );
  });

  test("name the condition that is not supported and the policy", () => {
    assert.deepEqual(
      notes(policy(`{ rules: [{ when: [{ key: connection.sni, values: [x] }] }] }`)),
      ["HEDDLE0106 AuthorizationPolicy shop/policy spec.rules[0]"],
    );
  });

  test("name the condition that no address or port can meet, and every sidecar gets its configuration", () => {
    for (const [key, value] of [
      ["source.ip", "10.0.0.0/33"],
      ["remote.ip", "nowhere"],
      ["destination.port", "http"],
    ] as const) {
      const world = meshWorld(
        shop,
        policy(`{ action: DENY, rules: [{ when: [{ key: ${key}, values: ["${value}"] }] }] }`),
      );
      const { value: config, diagnostics } = compileFor(world, "shop/cart");
      const [{ message } = { message: "" }] = diagnostics;
      assert.equal(
        message,
        `condition ${key} "${value}" is not supported yet: the rule refuses without asking it`,
      );
      assert.doesNotThrow(() => encodeProxyConfig(config));
    }
  });

  test("name the Service that disagrees about a port's protocol", () => {
    const other = `
kind: Service
metadata: { name: zzz }
spec: { selector: { app: cart }, ports: [{ name: tcp-x, port: 8080 }] }`;
    assert.deepEqual(notes(other), ["HEDDLE0105 Service shop/zzz spec.ports[tcp-x]"]);
  });
});
