/**
 * Clusters and their traffic policy.
 *
 * Mesh TLS is spoken towards endpoints whose metadata says so (`tlsMode: istio`), plain text towards the others: the
 * two transport socket matches below. Breakers that are not set travel as the largest number, as Istio writes them.
 * How requests are spread, and who is taken out, have files of their own (balancer.ts, outlier-detection.ts).
 * An original-destination cluster has no balancer of its own (`CLUSTER_PROVIDED`); it reads back as round robin.
 */

import type { CircuitBreakers, Cluster } from "../../model/proxy-config.ts";
import { decodeBalancing, encodeBalancer, encodeProvided, peakEwma } from "./balancer.ts";
import { decodeDiscovery, encodeDiscovery } from "./discovery-type.ts";
import {
  decodeDuration,
  encodeDuration,
  given,
  invalid,
  isPacked,
  pack,
  required,
  wrappedNumber,
} from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { Cluster as ClusterMessage, RawBuffer } from "./gen/messages.ts";
import { decodeHealthChecks, encodeHealthCheck } from "./health-check.ts";
import { decodeHttpProtocol, encodeHttpProtocol } from "./http-protocol.ts";
import { decodeOutliers, encodeOutliers } from "./outlier-detection.ts";
import { decodeWriting, encodeWriting } from "./proxy-protocol.ts";
import type { EncodedResource } from "./resources.ts";
import { decodeResource, encodeResource, typeUrls } from "./resources.ts";
import type { JsonObject } from "./struct.ts";
import { decodeStruct, encodeStruct, textAt } from "./struct.ts";
import { decodeSubsets, encodeSubsets } from "./subsets.ts";
import { decodeTcpKeepAlive, encodeTcpKeepAlive } from "./tcp-keep-alive.ts";
import {
  decodeOriginateTls,
  decodeUpstreamTls,
  encodeOriginateTls,
  encodeUpstreamTls,
} from "./tls.ts";

const unlimited = 4_294_967_295;
const meshSocket = "tlsMode-istio";
const plainSocket = "tlsMode-disabled";

export function encodeCluster(cluster: Cluster): EncodedResource {
  const isOriginal = cluster.discovery.kind === "original-destination";
  const { commonLbConfig, ...balancing } = isOriginal
    ? encodeProvided(cluster)
    : encodeBalancer(cluster);
  return encodeResource(typeUrls.cluster, cluster.name, ClusterMessage, {
    name: cluster.name,
    ...encodeDiscovery(cluster),
    connectTimeout: encodeDuration(cluster.connectTimeoutMs),
    ...balancing,
    circuitBreakers: { thresholds: [encodeBreakers(cluster.circuitBreakers)] },
    ...given(
      "outlierDetection",
      cluster.outlierDetection && encodeOutliers(cluster.outlierDetection),
    ),
    ...given("healthChecks", cluster.healthCheck && [encodeHealthCheck(cluster.healthCheck)]),
    ...given("lbSubsetConfig", cluster.subsets && encodeSubsets(cluster.subsets)),
    ...given("commonLbConfig", withPanic(cluster, commonLbConfig)),
    ...encodeTcpKeepAlive(cluster),
    ...given("transportSocket", encodeOwnSocket(cluster)),
    ...given("transportSocketMatches", cluster.tls && encodeSockets(cluster)),
    metadata: encodeMetadata(cluster),
    ...encodeHttpProtocol(cluster),
  });
}

export function decodeCluster(resource: EncodedResource): Cluster {
  const message = decodeResource(ClusterMessage, resource);
  const path = `Cluster ${resource.name}`;
  const { istio, heddle } = message.metadata?.filterMetadata ?? {};
  const own = decodeStruct(heddle);
  const service = decodeService(decodeStruct(istio));
  const outliers = message.outlierDetection;
  const meshTls = (message.transportSocketMatches ?? []).find((match) => match.name === meshSocket);
  const tlsPath = `${path}.transport_socket_matches[${meshSocket}].transport_socket`;
  return {
    name: required(message.name, `${path}.name`),
    direction: textAt(own, "direction") === "inbound" ? "inbound" : "outbound",
    discovery: decodeDiscovery(message, path),
    connectTimeoutMs: decodeDuration(message.connectTimeout) ?? 5000,
    ...decodeBalancing(message, textAt(own, "balancer"), path),
    ...given("subsets", decodeParts(message, path)),
    ...given("tls", meshTls && decodeUpstreamTls(meshTls.transportSocket, tlsPath)),
    ...decodeOwnSocket(
      message.transportSocket ?? socketOf(message, plainSocket),
      `${path}.transport_socket`,
    ),
    circuitBreakers: decodeBreakers(message.circuitBreakers?.thresholds?.[0]),
    ...given("panicPercent", message.commonLbConfig?.healthyPanicThreshold?.value || undefined),
    ...given("keepAlive", decodeTcpKeepAlive(message)),
    ...given(
      "outlierDetection",
      outliers && decodeOutliers(outliers, numbersAt(own, "failure_statuses")),
    ),
    ...given(
      "healthCheck",
      decodeHealthChecks(message.healthChecks ?? [], `${path}.health_checks`),
    ),
    ...given("service", service),
    ...decodeHttpProtocol(message, path),
  };
}

function decodeParts(message: wire.Cluster, path: string): Cluster["subsets"] {
  const at = `${path}.lb_subset_config`;
  const subsets = decodeSubsets(message.lbSubsetConfig, at);
  if (subsets === undefined) return undefined;
  // Envoy's rules: a list says all of it, and where nobody is chosen there are no parts.
  if (message.loadBalancingPolicy !== undefined) {
    throw invalid(at, "cannot stand beside load_balancing_policy");
  }
  if (decodeDiscovery(message, path).kind === "original-destination") {
    throw invalid(at, "cannot stand beside ORIGINAL_DST");
  }
  return subsets;
}

/** Istio's: never send to hosts that were ejected, however few are left, unless a threshold is written. */
function withPanic(
  { outlierDetection, panicPercent }: Cluster,
  common: wire.CommonLbConfig | undefined,
): wire.CommonLbConfig | undefined {
  if (outlierDetection === undefined && panicPercent === undefined) return common;
  return { healthyPanicThreshold: { value: panicPercent ?? 0 }, ...common };
}

function numbersAt(object: JsonObject, key: string): readonly number[] | undefined {
  const list = object[key];
  if (!Array.isArray(list)) return undefined;
  return list.filter((item): item is number => typeof item === "number");
}

function encodeBreakers(breakers: CircuitBreakers): wire.Thresholds {
  return {
    maxConnections: { value: breakers.maxConnections ?? unlimited },
    maxPendingRequests: { value: breakers.maxPendingRequests ?? unlimited },
    maxRequests: { value: breakers.maxRequests ?? unlimited },
    maxRetries: { value: breakers.maxRetries ?? unlimited },
    ...given(
      "retryBudget",
      breakers.retryBudget && {
        budgetPercent: { value: breakers.retryBudget.percent },
        minRetryConcurrency: { value: breakers.retryBudget.minConcurrency },
      },
    ),
  };
}

function decodeBreakers(thresholds: wire.Thresholds | undefined): CircuitBreakers {
  // Envoy's own defaults where a threshold is not said.
  const limit = (value: wire.UInt32Value | undefined, otherwise: number): number | undefined => {
    const number = wrappedNumber(value, otherwise);
    return number === unlimited ? undefined : number;
  };
  return {
    ...given("maxConnections", limit(thresholds?.maxConnections, 1024)),
    ...given("maxPendingRequests", limit(thresholds?.maxPendingRequests, 1024)),
    ...given("maxRequests", limit(thresholds?.maxRequests, 1024)),
    ...given("maxRetries", limit(thresholds?.maxRetries, 3)),
    ...given("retryBudget", decodeBudget(thresholds?.retryBudget)),
  };
}

/** Envoy's defaults where a part is not said. */
function decodeBudget(budget: wire.RetryBudget | undefined): CircuitBreakers["retryBudget"] {
  return (
    budget && {
      percent: budget.budgetPercent === undefined ? 20 : (budget.budgetPercent.value ?? 0),
      minConcurrency: wrappedNumber(budget.minRetryConcurrency, 3),
    }
  );
}

/** What an endpoint is spoken to by that fits no match. */
function encodeOwnSocket({
  tls,
  originate,
  proxyProtocol,
}: Cluster): wire.TransportSocket | undefined {
  if (originate !== undefined) return encodeOriginateTls(originate);
  return tls === undefined ? proxyProtocol && encodeWriting(proxyProtocol) : undefined;
}

function decodeOwnSocket(
  socket: wire.TransportSocket | undefined,
  path: string,
): Pick<Cluster, "originate" | "proxyProtocol"> {
  const proxyProtocol = decodeWriting(socket, path);
  if (proxyProtocol !== undefined) return { proxyProtocol };
  if (socket === undefined || isPacked(socket.typedConfig, RawBuffer)) return {};
  return { originate: decodeOriginateTls(socket, path) };
}

function socketOf(message: wire.Cluster, match: string): wire.TransportSocket | undefined {
  return (message.transportSocketMatches ?? []).find(({ name }) => name === match)?.transportSocket;
}

function encodeSockets({ tls, originate, proxyProtocol }: Cluster): wire.TransportSocketMatch[] {
  const mesh = tls && {
    name: meshSocket,
    match: encodeStruct({ tlsMode: "istio" }),
    transportSocket: encodeUpstreamTls(tls),
  };
  // Whatever fits no match is spoken to as `transport_socket` says.
  if (mesh === undefined || originate !== undefined) return mesh === undefined ? [] : [mesh];
  return [
    mesh,
    {
      name: plainSocket,
      match: encodeStruct({}),
      transportSocket:
        proxyProtocol === undefined
          ? { name: "envoy.transport_sockets.raw_buffer", typedConfig: pack(RawBuffer, {}) }
          : encodeWriting(proxyProtocol),
    },
  ];
}

function encodeMetadata(cluster: Cluster): wire.Metadata {
  const { service } = cluster;
  const istio: JsonObject =
    service === undefined
      ? {}
      : {
          services: [{ host: service.host, name: service.name, namespace: service.namespace }],
          default_original_port: service.port,
          ...given("subset", service.subset),
        };
  const statuses = cluster.outlierDetection?.failureStatuses;
  const own: JsonObject = {
    ...(cluster.direction === "inbound" ? { direction: "inbound" } : {}),
    ...(cluster.balancer.kind === "peak-ewma" ? { balancer: peakEwma } : {}),
    ...given("failure_statuses", statuses && [...statuses]),
  };
  return {
    filterMetadata: {
      ...(service === undefined ? {} : { istio: encodeStruct(istio) }),
      ...(Object.keys(own).length === 0 ? {} : { heddle: encodeStruct(own) }),
    },
  };
}

function decodeService(istio: JsonObject): Cluster["service"] | undefined {
  const { services, default_original_port: port } = istio;
  const service = Array.isArray(services) ? (services[0] as JsonObject | undefined) : undefined;
  if (service === undefined) return undefined;
  return {
    namespace: textAt(service, "namespace") ?? "",
    name: textAt(service, "name") ?? "",
    host: textAt(service, "host") ?? "",
    port: typeof port === "number" ? port : 0,
    ...given("subset", textAt(istio, "subset")),
  };
}
