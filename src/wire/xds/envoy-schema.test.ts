/** What we encode is what Envoy's complete schema says, read by an independent implementation of protobuf. */

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type protobuf from "protobufjs";
import fc from "../../../test/property.ts";
import { loadEnvoySchema } from "../../../test/worlds/envoy-schema.ts";
import { proxyConfig } from "../../../test/worlds/proxy-config.ts";
import { decodeRequest, encodeRequest } from "./discovery.ts";
import { encodeProxyNode } from "./node.ts";
import { encodeProxyConfig } from "./proxy-config.ts";
import { encodeSecrets } from "./secret.ts";

describe("bytes of ours", () => {
  let root: protobuf.Root;
  before(() => {
    root = loadEnvoySchema();
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
