/** What we encode is what Envoy's complete schema says, read by an independent implementation of protobuf. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import { proxyConfig } from "../../../test/worlds/proxy-config.ts";
import { decodeRequest, encodeRequest } from "./discovery.ts";
import { encodeProxyNode } from "./node.ts";
import { encodeProxyConfig } from "./proxy-config.ts";
import { encodeSecrets } from "./secret.ts";

const modules = new URL("../../../node_modules/", import.meta.url).pathname;
const schemas = "@grpc/grpc-js-xds/deps";
const folders = [
  `${schemas}/envoy-api`,
  `${schemas}/xds`,
  `${schemas}/googleapis`,
  `${schemas}/protoc-gen-validate`,
  "protobufjs",
];

const files = [
  "envoy/service/discovery/v3/discovery.proto",
  "envoy/config/listener/v3/listener.proto",
  "envoy/config/route/v3/route.proto",
  "envoy/config/cluster/v3/cluster.proto",
  "envoy/config/endpoint/v3/endpoint.proto",
  "envoy/config/trace/v3/opentelemetry.proto",
  "envoy/extensions/access_loggers/file/v3/file.proto",
  "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
  "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto",
  "envoy/extensions/filters/network/rbac/v3/rbac.proto",
  "envoy/extensions/filters/http/rbac/v3/rbac.proto",
  "envoy/extensions/filters/http/router/v3/router.proto",
  "envoy/extensions/filters/http/cors/v3/cors.proto",
  "envoy/extensions/filters/http/fault/v3/fault.proto",
  "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto",
  "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.proto",
  "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.proto",
  "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto",
  "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.proto",
  "envoy/extensions/filters/listener/original_dst/v3/original_dst.proto",
  "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto",
  "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.proto",
  "envoy/extensions/transport_sockets/tls/v3/tls.proto",
  "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
];

function loadSchema(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_, target) => {
    const found = folders.map((name) => join(modules, name, target)).find(existsSync);
    return found ?? target; // most of google/protobuf: built in
  };
  return root.loadSync(files, { keepCase: true });
}

describe("bytes of ours", () => {
  let root: protobuf.Root;
  before(() => {
    root = loadSchema();
  });

  /**
   * Fields that the schema does not know, or has under another type, are lost when it reads and writes them again; so
   * nothing may get shorter, in any message packed into it either.
   */
  function check(typeName: string, bytes: Uint8Array): protobuf.Message {
    const type = root.lookupType(typeName);
    const read = type.decode(bytes);
    assert.equal(type.encode(read).finish().length, bytes.length, `${typeName} loses fields`);
    for (const any of packedIn(read)) check(any.typeName, any.value);
    return read;
  }

  test("are complete and understood: resources of any configuration", () => {
    fc.assert(
      fc.property(proxyConfig, (config) => {
        for (const named of encodeProxyConfig(config).values()) {
          for (const { typeUrl, bytes } of named.values()) check(afterSlash(typeUrl), bytes);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("are complete and understood: secrets and requests", () => {
    const secrets = encodeSecrets([
      { kind: "certificate", name: "default", chain: "c", key: "k" },
      { kind: "validation", name: "ROOTCA", roots: "r" },
    ]);
    for (const named of secrets.values()) {
      for (const { typeUrl, bytes } of named.values()) check(afterSlash(typeUrl), bytes);
    }
    const request = {
      node: encodeProxyNode({
        id: "sidecar~10.0.0.1~web.shop~shop.svc.cluster.local",
        namespace: "shop",
        pod: "web",
        address: "10.0.0.1",
        workload: {
          namespace: "shop",
          workload: "web",
          app: "web",
          version: "v1",
          serviceAccount: "w",
        },
      }),
      typeUrl: "t",
      subscribe: ["a", "b"],
      unsubscribe: ["c"],
      initialVersions: { a: "1", ü: "2" },
      nonce: "n",
      error: "why",
    };
    const bytes = encodeRequest(request);
    check("envoy.service.discovery.v3.DeltaDiscoveryRequest", bytes);
    assert.deepEqual(decodeRequest(bytes), request);
  });

  test("mean in Envoy's words what the configuration says", () => {
    const [resource] = [
      ...(encodeProxyConfig({
        listeners: [],
        routes: [],
        endpoints: [],
        clusters: [
          {
            name: "outbound|80||cart",
            direction: "outbound",
            discovery: { kind: "eds" },
            connectTimeoutMs: 1500,
            balancer: { kind: "least-request" },
            circuitBreakers: { maxConnections: 7 },
          },
        ],
      })
        .values()
        .next()
        .value?.values() ?? []),
    ];
    assert.ok(resource);
    const type = root.lookupType("envoy.config.cluster.v3.Cluster");
    const json = type.toObject(check("envoy.config.cluster.v3.Cluster", resource.bytes), {
      enums: String,
      longs: Number,
    });
    assert.equal(json["type"], "EDS");
    assert.equal(json["lb_policy"], "LEAST_REQUEST");
    assert.deepEqual(json["connect_timeout"], { seconds: 1, nanos: 500_000_000 });
    assert.deepEqual(json["circuit_breakers"].thresholds[0].max_connections, { value: 7 });
    assert.deepEqual(json["circuit_breakers"].thresholds[0].max_requests, { value: 4_294_967_295 });
  });
});

function afterSlash(typeUrl: string): string {
  return typeUrl.slice(typeUrl.indexOf("/") + 1);
}

interface Packed {
  readonly typeName: string;
  readonly value: Uint8Array;
}

/** Every google.protobuf.Any in the message, not those inside of them. */
function packedIn(value: unknown): readonly Packed[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return [];
  const { type_url: typeUrl, value: bytes } = value as { type_url?: unknown; value?: unknown };
  if (typeof typeUrl === "string" && bytes instanceof Uint8Array && typeUrl.includes("/")) {
    return [{ typeName: afterSlash(typeUrl), value: bytes }];
  }
  return Object.values(value).flatMap(packedIn);
}
