/**
 * xDS resources as they travel: packed bytes under a type URL and a name, with a version that is a hash of the bytes.
 *
 * Hashing the bytes makes versions survive a restart of the server: a client that reconnects with the versions it has
 * gets only what differs.
 */

import { MeshError } from "../../base/error.ts";
import type { MessageType } from "./protobuf.ts";
import { decodeMessage, encodeMessage } from "./protobuf.ts";

export interface EncodedResource {
  readonly typeUrl: string;
  readonly name: string;
  readonly version: string;
  readonly bytes: Uint8Array;
}

/** Type URL → name → resource. */
export type XdsResources = ReadonlyMap<string, ReadonlyMap<string, EncodedResource>>;

export const typeUrls = {
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoints: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
  snapshot: "type.googleapis.com/heddle.snapshot.v1.Snapshot",
  nodeSettings: "type.googleapis.com/heddle.node.v1.Settings",
  nodePeer: "type.googleapis.com/heddle.node.v1.Node",
  nodeWorkload: "type.googleapis.com/heddle.node.v1.Workload",
  nodeService: "type.googleapis.com/heddle.node.v1.Service",
  nodeExternalHost: "type.googleapis.com/heddle.node.v1.ExternalHost",
  nodePolicy: "type.googleapis.com/heddle.node.v1.Policy",
} as const;

/** What a sidecar subscribes to, in the order in which a server sends it: make before break. */
export const proxyTypes: readonly string[] = [
  typeUrls.secret,
  typeUrls.cluster,
  typeUrls.endpoints,
  typeUrls.listener,
  typeUrls.route,
];

/** What an agent subscribes to. */
export const nodeTypes: readonly string[] = [
  typeUrls.nodeSettings,
  typeUrls.nodePeer,
  typeUrls.nodeWorkload,
  typeUrls.nodeService,
  typeUrls.nodeExternalHost,
  typeUrls.nodePolicy,
];

export function encodeResource<T extends object>(
  typeUrl: string,
  name: string,
  type: MessageType<T>,
  value: T,
): EncodedResource {
  const bytes = encodeMessage(type, value);
  return { typeUrl, name, version: hashOf(bytes), bytes };
}

/** Throws MeshError `xds.malformed` naming the resource. */
export function decodeResource<T extends object>(
  type: MessageType<T>,
  resource: EncodedResource,
): T {
  try {
    return decodeMessage(type, resource.bytes);
  } catch (cause) {
    throw new MeshError(
      "xds.malformed",
      `resource ${shortType(resource.typeUrl)} ${resource.name}`,
      {
        cause,
        fault: "peer",
      },
    );
  }
}

/** `Listener` of `type.googleapis.com/envoy.config.listener.v3.Listener`. */
export function shortType(typeUrl: string): string {
  return typeUrl.slice(Math.max(typeUrl.lastIndexOf("."), typeUrl.lastIndexOf("/")) + 1);
}

export function groupByType(resources: Iterable<EncodedResource>): XdsResources {
  const types = new Map<string, Map<string, EncodedResource>>();
  for (const resource of resources) {
    const named = types.get(resource.typeUrl) ?? new Map<string, EncodedResource>();
    types.set(resource.typeUrl, named.set(resource.name, resource));
  }
  return types;
}

/** Two FNV-1a style hashes side by side: 64 bits, enough to tell versions of one resource apart. */
function hashOf(bytes: Uint8Array): string {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (const byte of bytes) {
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ byte, 0x85ebca6b) ^ (high >>> 13);
  }
  return hex(low) + hex(high);
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
