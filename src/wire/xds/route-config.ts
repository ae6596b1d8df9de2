/** Route configurations: virtual hosts, their routes, and what a route matches. */

import type {
  PathMatch,
  Route,
  RouteConfig,
  RouteMatch,
  VirtualHost,
} from "../../model/proxy-config.ts";
import { decodeCompression, encodeCompression } from "./compression.ts";
import { corsFilterName, decodeCors, encodeCors } from "./cors.ts";
import { decodeFault, encodeFault, faultFilterName } from "./fault.ts";
import { given, invalid, pack, required, unpack, wrappedBool } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { CorsPolicy, HttpFault, LocalRateLimit, RouteConfiguration } from "./gen/messages.ts";
import { decodeEdits, encodeEdits } from "./header-edit.ts";
import { decodeHedge, encodeHedge } from "./hedge.ts";
import { decodeRateLimit, encodeRateLimit, rateLimitFilterName } from "./rate-limit.ts";
import type { EncodedResource } from "./resources.ts";
import { decodeResource, encodeResource, typeUrls } from "./resources.ts";
import { decodeAction, encodeAction } from "./route-action.ts";
import {
  checked,
  decodeHeaderMatches,
  decodeQueryMatch,
  encodeHeaderMatch,
  encodeQueryMatch,
} from "./string-match.ts";
import { decodeStruct, encodeStruct, type JsonObject, textAt } from "./struct.ts";

export function encodeRoutes(config: RouteConfig): EncodedResource {
  return encodeResource(typeUrls.route, config.name, RouteConfiguration, encodeRouteConfig(config));
}

export function decodeRoutes(resource: EncodedResource): RouteConfig {
  return decodeRouteConfig(
    decodeResource(RouteConfiguration, resource),
    `RouteConfiguration ${resource.name}`,
  );
}

export function encodeRouteConfig(config: RouteConfig): wire.RouteConfiguration {
  return {
    name: config.name,
    virtualHosts: config.virtualHosts.map(encodeVirtualHost),
    // Clusters may come a moment later than the route that names them; a route is not refused for that.
    validateClusters: { value: false },
    // A host is the same host whatever port a client writes behind it.
    ignorePortInHostMatching: true,
  };
}

export function decodeRouteConfig(config: wire.RouteConfiguration, path: string): RouteConfig {
  return {
    name: config.name ?? "",
    virtualHosts: (config.virtualHosts ?? []).map((host, index) =>
      decodeVirtualHost(host, `${path}.virtual_hosts[${index}]`),
    ),
  };
}

function encodeVirtualHost(host: VirtualHost): wire.VirtualHost {
  return {
    name: host.name,
    domains: host.domains,
    routes: host.routes.map(encodeRoute),
    includeRequestAttemptCount: true,
  };
}

function decodeVirtualHost(host: wire.VirtualHost, path: string): VirtualHost {
  return {
    name: required(host.name, `${path}.name`),
    domains: host.domains ?? [],
    routes: (host.routes ?? []).map((route, index) =>
      decodeRoute(route, `${path}.routes[${index}]`),
    ),
  };
}

/** What only our own proxies are told. */
const ownMetadata = "metadata.filter_metadata[heddle]";

/** Where Istio says which object a route is from. */
const originPrefix = "/apis/networking.istio.io/v1/namespaces/";

function encodeRoute(route: Route): wire.Route {
  const { fault, cors, rateLimit } = route;
  const perFilter = {
    ...given(faultFilterName, fault && pack(HttpFault, encodeFault(fault))),
    ...given(corsFilterName, cors && pack(CorsPolicy, encodeCors(cors))),
    ...given(rateLimitFilterName, rateLimit && pack(LocalRateLimit, encodeRateLimit(rateLimit))),
  };
  const hasFilters = Object.keys(perFilter).length > 0;
  return {
    name: route.name,
    match: encodeMatch(route.match),
    ...encodeAction(route.action),
    ...encodeEdits(route),
    ...given("metadata", encodeMetadata(route)),
    ...given("typedPerFilterConfig", hasFilters ? perFilter : undefined),
  };
}

function decodeRoute(route: wire.Route, path: string): Route {
  const fault = route.typedPerFilterConfig?.[faultFilterName];
  const at = `${path}.typed_per_filter_config[${faultFilterName}]`;
  const cors = route.typedPerFilterConfig?.[corsFilterName];
  const corsAt = `${path}.typed_per_filter_config[${corsFilterName}]`;
  const limit = route.typedPerFilterConfig?.[rateLimitFilterName];
  const limitAt = `${path}.typed_per_filter_config[${rateLimitFilterName}]`;
  const own = decodeStruct(route.metadata?.filterMetadata?.["heddle"]);
  return {
    name: route.name ?? "",
    ...given("origin", decodeOrigin(route.metadata)),
    match: decodeMatch(route.match, `${path}.match`),
    action: decodeHedgedAction(route, own, path),
    ...decodeEdits(route, path),
    ...given("compression", decodeCompression(own, `${path}.${ownMetadata}`)),
    ...given("fault", fault && decodeFault(unpack(HttpFault, fault, at), at)),
    ...given("cors", cors && decodeCors(unpack(CorsPolicy, cors, corsAt), corsAt)),
    ...given(
      "rateLimit",
      limit && decodeRateLimit(unpack(LocalRateLimit, limit, limitAt), limitAt),
    ),
  };
}

function encodeMetadata({ origin, action, compression }: Route): wire.Metadata | undefined {
  const hedge = action.kind === "forward" ? action.hedge : undefined;
  const own = {
    ...(hedge === undefined ? {} : encodeHedge(hedge)),
    ...(compression === undefined ? {} : encodeCompression(compression)),
  };
  const isOwn = Object.keys(own).length > 0;
  if (origin === undefined && !isOwn) return undefined;
  return {
    filterMetadata: {
      ...given("istio", origin === undefined ? undefined : encodeOrigin(origin)),
      ...given("heddle", isOwn ? encodeStruct(own) : undefined),
    },
  };
}

function encodeOrigin(origin: string): wire.Struct {
  const [namespace, name] = origin.split("/");
  return encodeStruct({ config: `${originPrefix}${namespace}/virtual-service/${name}` });
}

function decodeHedgedAction(route: wire.Route, own: JsonObject, path: string): Route["action"] {
  const action = decodeAction(route, path);
  const hedge = decodeHedge(own, `${path}.${ownMetadata}`);
  return action.kind === "forward" && hedge !== undefined ? { ...action, hedge } : action;
}

function decodeOrigin(metadata: wire.Metadata | undefined): string | undefined {
  const { istio } = metadata?.filterMetadata ?? {};
  const config = textAt(decodeStruct(istio), "config");
  return config?.slice(originPrefix.length).replace("/virtual-service/", "/");
}

function encodeMatch(match: RouteMatch): wire.RouteMatch {
  return {
    ...encodePath(match.path),
    ...(match.ignoreCase === true ? { caseSensitive: { value: false } } : {}),
    headers: match.headers.map(encodeHeaderMatch),
    queryParameters: match.queryParameters.map(encodeQueryMatch),
  };
}

function decodeMatch(match: wire.RouteMatch | undefined, path: string): RouteMatch {
  if (match === undefined) throw invalid(path, "is missing");
  return {
    path: decodePath(match, path),
    headers: (match.headers ?? []).flatMap((header, index) =>
      decodeHeaderMatches(header, `${path}.headers[${index}]`),
    ),
    queryParameters: (match.queryParameters ?? []).map((query, index) =>
      decodeQueryMatch(query, `${path}.query_parameters[${index}]`),
    ),
    ...(!wrappedBool(match.caseSensitive, true) ? { ignoreCase: true } : {}),
  };
}

function encodePath(path: PathMatch): wire.RouteMatch {
  switch (path.kind) {
    case "prefix":
      return { prefix: path.value };
    case "exact":
      return { path: path.value };
    case "regex":
      return { safeRegex: { regex: path.value } };
  }
}

function decodePath(match: wire.RouteMatch, path: string): PathMatch {
  if (match.prefix !== undefined) return { kind: "prefix", value: match.prefix };
  if (match.path !== undefined) return { kind: "exact", value: match.path };
  if (match.safeRegex !== undefined) {
    const at = `${path}.safe_regex.regex`;
    return { kind: "regex", value: checked(required(match.safeRegex.regex, at), at) };
  }
  throw invalid(path, "want prefix, path or safe_regex");
}
