/**
 * The filters of a chain: L4 authorization first, then either the HTTP connection manager or the TCP proxy.
 *
 * The HTTP connection manager carries what Envoy needs around the fields of the model: the router and fault filters,
 * WebSocket upgrades, path normalization, and the client certificate header as Istio sets it.
 */

import type {
  Direction,
  FilterChain,
  NetworkFilter,
  RateLimit,
  Rbac,
} from "../../model/proxy-config.ts";
import { corsFilterName } from "./cors.ts";
import {
  decodeDuration,
  encodeDuration,
  given,
  invalid,
  isPacked,
  pack,
  required,
  unpack,
} from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import {
  ApiVersion,
  CorsFilter,
  ForwardClientCert,
  GrpcWeb,
  HttpConnectionManager,
  HttpFault,
  HttpRbac,
  LocalRateLimit,
  NetworkRbac,
  Router,
  TcpProxy,
} from "./gen/messages.ts";
import {
  decodeRateLimit,
  encodeRateLimit,
  noRateLimit,
  rateLimitFilterName,
} from "./rate-limit.ts";
import { decodeRbac, encodeRbac } from "./rbac.ts";
import { decodeRouteConfig, encodeRouteConfig } from "./route-config.ts";
import { decodeBalancerMetadata } from "./subsets.ts";
import { decodeAccessLog, decodeTelemetry, encodeAccessLog, encodeTelemetry } from "./telemetry.ts";

type HttpFilters = Extract<NetworkFilter, { kind: "http" }>;
type TcpFilter = Extract<NetworkFilter, { kind: "tcp" }>;

/** Resources that come over the same aggregated stream. */
export const adsSource: wire.ConfigSource = { ads: {}, resourceApiVersion: ApiVersion.V3 };

export function encodeFilters(
  chain: Pick<FilterChain, "rbac" | "filter">,
  direction: Direction,
): wire.Filter[] {
  const { filter } = chain;
  const rbac = chain.rbac.map((rules) => ({
    name: "envoy.filters.network.rbac",
    typedConfig: pack(NetworkRbac, { rules: encodeRbac(rules), statPrefix: "tcp." }),
  }));
  return [...rbac, filter.kind === "http" ? encodeHttp(filter, direction) : encodeTcp(filter)];
}

export function decodeFilters(
  filters: readonly wire.Filter[] | undefined,
  path: string,
): Pick<FilterChain, "rbac" | "filter"> {
  const rbac: Rbac[] = [];
  for (const [index, filter] of (filters ?? []).entries()) {
    const at = `${path}.filters[${index}].typed_config`;
    const any = filter.typedConfig;
    if (isPacked(any, NetworkRbac)) {
      rbac.push(decodeRbac(unpack(NetworkRbac, any, at).rules, `${at}.rules`));
    } else if (isPacked(any, HttpConnectionManager)) {
      return { rbac, filter: decodeHttp(unpack(HttpConnectionManager, any, at), at) };
    } else if (isPacked(any, TcpProxy)) {
      return { rbac, filter: decodeTcp(unpack(TcpProxy, any, at), at) };
    } else {
      throw invalid(at, `cannot run a filter of type "${any?.typeUrl ?? ""}"`);
    }
  }
  throw invalid(`${path}.filters`, "want an HTTP connection manager or a TCP proxy last");
}

function encodeHttp(filter: HttpFilters, direction: Direction): wire.Filter {
  const routes: wire.HttpConnectionManager =
    filter.routes.kind === "rds"
      ? { rds: { configSource: adsSource, routeConfigName: filter.routes.name } }
      : { routeConfig: encodeRouteConfig(filter.routes.config) };
  const inbound: wire.HttpConnectionManager =
    direction === "inbound"
      ? {
          forwardClientCertDetails: ForwardClientCert.APPEND_FORWARD,
          setCurrentClientCertDetails: { subject: { value: true }, dns: true, uri: true },
        }
      : {};
  return {
    name: "envoy.filters.network.http_connection_manager",
    typedConfig: pack(HttpConnectionManager, {
      statPrefix: filter.statPrefix,
      ...routes,
      httpFilters: [
        // Before whatever may refuse a call, so that its client can read why.
        ...(filter.translatesGrpcWeb === true
          ? [{ name: "envoy.filters.http.grpc_web", typedConfig: pack(GrpcWeb, {}) }]
          : []),
        ...filter.rbac.map((rules) => ({
          name: "envoy.filters.http.rbac",
          typedConfig: pack(HttpRbac, { rules: encodeRbac(rules) }),
        })),
        // What these do stands at the routes; an Envoy runs only what is listed.
        { name: corsFilterName, typedConfig: pack(CorsFilter, {}) },
        {
          name: rateLimitFilterName,
          typedConfig: pack(
            LocalRateLimit,
            filter.rateLimit === undefined ? noRateLimit : encodeRateLimit(filter.rateLimit),
          ),
        },
        { name: "envoy.filters.http.fault", typedConfig: pack(HttpFault, {}) },
        { name: "envoy.filters.http.router", typedConfig: pack(Router, {}) },
      ],
      useRemoteAddress: { value: filter.isEdge === true },
      ...given("xffNumTrustedHops", filter.trustedProxies),
      ...inbound,
      // Istio's: an idle stream is closed only by the route's own timeout.
      streamIdleTimeout: {},
      upgradeConfigs: [{ upgradeType: "websocket" }],
      normalizePath: { value: true },
      ...encodeTelemetry(filter),
    }),
  };
}

function decodeHttp(manager: wire.HttpConnectionManager, path: string): HttpFilters {
  const rbac: Rbac[] = [];
  let rateLimit: RateLimit | undefined;
  let translatesGrpcWeb = false;
  for (const [index, filter] of (manager.httpFilters ?? []).entries()) {
    const at = `${path}.http_filters[${index}].typed_config`;
    const any = filter.typedConfig;
    if (isPacked(any, HttpRbac)) {
      rbac.push(decodeRbac(unpack(HttpRbac, any, at).rules, `${at}.rules`));
    } else if (isPacked(any, GrpcWeb)) {
      translatesGrpcWeb = true;
    } else if (isPacked(any, LocalRateLimit)) {
      rateLimit = decodeRateLimit(unpack(LocalRateLimit, any, at), at);
    } else if (
      filter.isOptional !== true &&
      ![Router, HttpFault, CorsFilter].some((known) => isPacked(any, known))
    ) {
      throw invalid(at, `cannot run a filter of type "${any?.typeUrl ?? ""}"`);
    }
  }
  return {
    kind: "http",
    statPrefix: manager.statPrefix ?? "",
    routes:
      manager.routeConfig === undefined
        ? {
            kind: "rds",
            name: required(manager.rds?.routeConfigName, `${path}.rds.route_config_name`),
          }
        : {
            kind: "inline",
            config: decodeRouteConfig(manager.routeConfig, `${path}.route_config`),
          },
    ...(translatesGrpcWeb ? { translatesGrpcWeb } : {}),
    rbac,
    ...given("rateLimit", rateLimit),
    ...(manager.useRemoteAddress?.value === true ? { isEdge: true } : {}),
    ...given("trustedProxies", manager.xffNumTrustedHops || undefined),
    ...decodeTelemetry(manager, path),
  };
}

function encodeTcp(filter: TcpFilter): wire.Filter {
  const [only, ...others] = filter.clusters;
  const clusters: wire.TcpProxy =
    only !== undefined && others.length === 0 && only.weight === 100
      ? { cluster: only.cluster }
      : {
          weightedClusters: {
            clusters: filter.clusters.map(({ cluster, weight }) => ({ name: cluster, weight })),
          },
        };
  return {
    name: "envoy.filters.network.tcp_proxy",
    typedConfig: pack(TcpProxy, {
      statPrefix: filter.statPrefix,
      ...clusters,
      ...given(
        "idleTimeout",
        filter.idleTimeoutMs === undefined ? undefined : encodeDuration(filter.idleTimeoutMs),
      ),
      ...encodeAccessLog(filter.accessLog),
    }),
  };
}

function decodeTcp(proxy: wire.TcpProxy, path: string): TcpFilter {
  // Connections go to any part of a cluster: one that is meant would be missed.
  const meant = [proxy, ...(proxy.weightedClusters?.clusters ?? [])];
  if (meant.some(({ metadataMatch }) => decodeBalancerMetadata(metadataMatch) !== undefined)) {
    throw invalid(`${path}.metadata_match`, "is not supported for TCP");
  }
  const clusters = (proxy.weightedClusters?.clusters ?? []).map((cluster, index) => ({
    cluster: required(cluster.name, `${path}.weighted_clusters.clusters[${index}].name`),
    weight: cluster.weight ?? 0,
  }));
  return {
    kind: "tcp",
    statPrefix: proxy.statPrefix ?? "",
    clusters:
      proxy.cluster === undefined
        ? required(clusters.length > 0 ? clusters : undefined, `${path}.cluster`)
        : [{ cluster: proxy.cluster, weight: 100 }],
    ...given("idleTimeoutMs", decodeDuration(proxy.idleTimeout)),
    ...decodeAccessLog(proxy.accessLog),
  };
}
