/** Which requests of a pod are logged and traced, by Istio's Telemetry. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import type { Direction, NetworkFilter } from "../../model/proxy-config.ts";

const shop = `
pods:
  shop/web: {}
  shop/cart: {}
  observe/otel: {}
services:
  shop/cart: { ports: { http: 80 } }
  observe/otel: { ports: { http: 4318 } }
`;

const network = `
kind: Network
metadata: { name: default, namespace: "" }
spec:
  podCidr: 10.244.0.0/16
  blockPrefixLength: 26
  serviceCidr: 10.96.0.0/16
  encap: vxlan
  extensionProviders:
    - name: otel
      opentelemetry: { service: observe/otel.observe.svc.cluster.local, port: 4318, http: {} }
    - name: lost
      opentelemetry: { service: nowhere.example, port: 4318, http: { path: /otlp } }
    - name: file
      envoyFileAccessLog: { path: /dev/stdout }
`;

const telemetry = (spec: string, name = "default", namespace = "shop"): string => `
kind: Telemetry
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
`;

type HttpFilter = Extract<NetworkFilter, { kind: "http" }>;

/** What all HTTP filters of the direction tell; they must agree. */
function told(documents: readonly string[], direction: Direction, pod = "shop/web"): string {
  const { value } = compileFor(meshWorld(shop, network, ...documents), pod);
  const filters = value.listeners
    .filter((listener) => listener.direction === direction)
    .flatMap(({ filterChains }) => filterChains)
    .flatMap(({ filter }) => (filter.kind === "http" ? [filter] : []));
  assert.ok(filters.length > 0);
  const [only, ...others] = new Set(filters.map(said));
  assert.deepEqual(others, []);
  return only ?? "";
}

function said({ accessLog, tracing }: HttpFilter): string {
  const log = accessLog === true ? "log " : "";
  return tracing === undefined
    ? log.trim()
    : `${log}${tracing.percent}% of ${tracing.service} to ${tracing.cluster} ${tracing.host}${tracing.path}`;
}

const otel = "outbound|4318||otel.observe.svc.cluster.local";
const where = `${otel} otel.observe.svc.cluster.local:4318/v1/traces`;

describe("a Telemetry", () => {
  test("that asks for a log has TCP connections in it, too, and traces none", () => {
    const withDatabase = `${shop}  shop/cart-db: { ports: { tcp: 5432 } }\n`;
    const asked =
      "{ accessLogging: [{ match: { mode: CLIENT } }], tracing: [{ providers: [{ name: otel }] }] }";
    const { value } = compileFor(meshWorld(withDatabase, network, telemetry(asked)), "shop/web");
    const found = value.listeners.flatMap((listener) =>
      [
        ...listener.filterChains,
        ...(listener.defaultFilterChain === undefined ? [] : [listener.defaultFilterChain]),
      ].flatMap(({ name, filter }) =>
        filter.kind === "tcp"
          ? [`${listener.direction} ${name}: ${filter.accessLog === true} ${"tracing" in filter}`]
          : [],
      ),
    );
    assert.ok(
      found.some((one) => one.includes("5432")),
      found.join("\n"),
    );
    for (const one of found) {
      assert.match(one, one.startsWith("outbound") ? /: true false$/ : /: false false$/);
    }
  });

  const cases: readonly (readonly [spec: readonly string[], outbound: string, inbound: string])[] =
    [
      [[], "", ""],
      [[telemetry("{ accessLogging: [{}] }")], "log", "log"],
      [[telemetry("{ accessLogging: [{ providers: [{ name: envoy }] }] }")], "log", "log"],
      [[telemetry("{ accessLogging: [{ providers: [] }] }")], "log", "log"],
      [[telemetry("{ accessLogging: [{ providers: [{ name: file }] }] }")], "log", "log"],
      [[telemetry("{ accessLogging: [{ match: { mode: CLIENT } }] }")], "log", ""],
      [[telemetry("{ accessLogging: [{ match: { mode: SERVER } }] }")], "", "log"],
      [
        [
          telemetry("{ accessLogging: [{}] }", "mesh", "istio-system"),
          telemetry("{ accessLogging: [{ match: { mode: SERVER }, disabled: true }] }"),
        ],
        "log",
        "",
      ],
      [
        [telemetry("{ tracing: [{ providers: [{ name: otel }] }] }")],
        `1% of web.shop to ${where}`,
        `1% of web.shop to ${where}`,
      ],
      [
        [
          telemetry("{ tracing: [{ providers: [{ name: otel }] }] }", "mesh", "istio-system"),
          telemetry("{ tracing: [{ randomSamplingPercentage: 12.5 }] }"),
          telemetry(
            "{ selector: { matchLabels: { app: web } }, tracing: [{ match: { mode: SERVER }, disableSpanReporting: true }] }",
            "web",
          ),
        ],
        `12.5% of web.shop to ${where}`,
        "",
      ],
      [
        [telemetry("{ selector: { matchLabels: { app: other } }, accessLogging: [{}] }", "other")],
        "",
        "",
      ],
    ];
  for (const [documents, outbound, inbound] of cases) {
    test(`of ${documents.map((text) => text.trim().split("spec: ")[1]).join(" + ") || "nobody"}`, () => {
      assert.equal(told(documents, "outbound"), outbound);
      assert.equal(told(documents, "inbound"), inbound);
    });
  }

  test("for kinds that are not there holds for no pod, and is noted", () => {
    const own = telemetry("{ accessLogging: [{ match: { mode: SERVER } }] }");
    const spec = "{ targetRefs: [{ kind: Service, name: cart }], accessLogging: [{}] }";
    const targeted = telemetry(spec, "a-waypoint");
    assert.equal(told([own, targeted], "outbound"), "");
    assert.equal(told([own, targeted], "inbound"), "log");
    assert.deepEqual(
      compileFor(meshWorld(shop, network, targeted), "shop/web").diagnostics.map(
        ({ code, where: place }) => `${code} ${place}`,
      ),
      ["HEDDLE0115 Telemetry shop/a-waypoint spec.targetRefs"],
    );
  });

  test("that asks for what is not there is noted, and the rest of it holds", () => {
    const asked = telemetry(`
  tracing:
    - providers: [{ name: lost }]
      customTags: { a: { literal: { value: b } } }
  accessLogging:
    - providers: [{ name: nobody }]
    - filter: { expression: "true" }
  metrics: [{}]`);
    const { diagnostics } = compileFor(meshWorld(shop, network, asked), "shop/web");
    assert.deepEqual(
      diagnostics.map(({ code, where: place }) => `${code} ${place}`),
      [
        "HEDDLE0115 Telemetry shop/default spec.metrics",
        "HEDDLE0115 Telemetry shop/default spec.accessLogging[1].filter",
        "HEDDLE0115 Telemetry shop/default spec.tracing[0].customTags",
        "HEDDLE0115 Telemetry shop/default spec.accessLogging[0].providers",
        "HEDDLE0115 Telemetry shop/default spec.tracing[0].providers",
      ],
    );
    assert.equal(told([asked], "outbound"), "log");
  });
});
