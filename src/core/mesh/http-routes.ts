/**
 * The HTTP rules of a VirtualService as routes, in order; the list ends where a route takes everything.
 *
 * A rule with several matches becomes several routes with the same action. Weights of zero are left out beside others.
 */

import type {
  CorsPolicy,
  HeaderOperations,
  HttpRoute,
  HttpRouteDestination,
  VirtualService,
} from "../../api/istio/networking.ts";
import { durationMs } from "../../api/validate/duration.ts";
import { textOfBase64 } from "../../base/base64.ts";
import { portableWhereRead } from "../../base/re2.ts";
import type {
  Cors,
  HashKey,
  HeaderEdit,
  Mirror,
  RateLimit,
  Route,
  RouteAction,
  RouteMatch,
  WeightedCluster,
} from "../../model/proxy-config.ts";
import { objectKey } from "../registry/world.ts";
import { compressionFor } from "./compression.ts";
import type { ProxyContext } from "./context.ts";
import { type DestinationPlace, destinationCluster, hashOf } from "./destination.ts";
import { faultOf } from "./fault.ts";
import { hedgePolicy } from "./hedge.ts";
import {
  appliesTo,
  everyRequest,
  matchesEverything,
  routeMatch,
  stringMatch,
} from "./http-match.ts";
import { type HttpRule, httpRules, placeOf } from "./http-rules.ts";
import { rateLimitOf } from "./rate-limit.ts";
import { retryPolicy } from "./retry.ts";

/** Routes for requests that the proxy sends to `listenPort`. */
export function httpRoutes(
  context: ProxyContext,
  rules: VirtualService,
  listenPort: number,
): readonly Route[] {
  const routes: Route[] = [];
  const { value, diagnostics } = httpRules(context.world, rules);
  for (const diagnostic of diagnostics) context.note(diagnostic);
  for (const held of value) {
    const { rule } = held;
    for (const { name, match } of matchesOf(context, rule, listenPort)) {
      routes.push({
        name: nameOf(rules, rule, name),
        origin: objectKey(rules),
        match,
        action: actionOf(context, held, listenPort),
        ...editsOf(rule.headers),
        ...faultOf(rule),
        ...annotated(held, compressionFor),
        ...annotated(held, localRateLimit),
        ...(rule.corsPolicy === undefined ? {} : { cors: corsOf(rule.corsPolicy) }),
      });
      if (matchesEverything(match)) return routes;
    }
  }
  return routes;
}

/** Where nobody wrote routes: straight to the Service, with Istio's default retries. */
export function defaultRoute(cluster: string, hash: readonly HashKey[] = []): Route {
  return {
    name: "default",
    match: everyRequest,
    action: {
      kind: "forward",
      clusters: [{ cluster, weight: 100 }],
      timeoutMs: 0,
      ...retryPolicy(undefined),
      ...(hash.length === 0 ? {} : { hash }),
    },
  };
}

/** What annotations ask for: the delegate's own, else the root's. */
function annotated<T extends object>(
  { rules, root }: HttpRule,
  read: (rules: VirtualService) => T,
): T {
  return { ...(root && read(root.rules)), ...read(rules) };
}

function localRateLimit(rules: VirtualService): { readonly rateLimit?: RateLimit } {
  const rateLimit = rateLimitOf(rules);
  return rateLimit === undefined ? {} : { rateLimit };
}

function matchesOf(
  context: ProxyContext,
  rule: HttpRoute,
  listenPort: number,
): readonly { readonly name: string | undefined; readonly match: RouteMatch }[] {
  if (rule.match === undefined || rule.match.length === 0) {
    return [{ name: undefined, match: everyRequest }];
  }
  return rule.match
    .filter((match) => appliesTo(match, context, listenPort))
    .map((match) => ({ name: match.name, match: routeMatch(match) }));
}

function nameOf(rules: VirtualService, rule: HttpRoute, match: string | undefined): string {
  const parts = [rule.name, match].filter((part) => part !== undefined && part !== "");
  return parts.length > 0 ? parts.join(".") : objectKey(rules);
}

function actionOf(context: ProxyContext, held: HttpRule, listenPort: number): RouteAction {
  const { rule, rules, path } = held;
  const place = { rules, path, listenPort };
  if (rule.redirect !== undefined) {
    const { uri, prefixRewrite, authority, scheme, redirectCode, derivePort } = rule.redirect;
    // The request's own port is that of the listener; a port by the scheme is none in the URL.
    const port = derivePort === "FROM_REQUEST_PORT" ? listenPort : rule.redirect.port;
    return {
      kind: "redirect",
      status: redirectCode ?? 301,
      ...(authority === undefined ? {} : { host: authority }),
      ...(uri === undefined ? {} : { path: uri }),
      ...(prefixRewrite === undefined ? {} : { prefixRewrite }),
      ...(scheme === undefined ? {} : { scheme }),
      ...(port === undefined ? {} : { port }),
    };
  }
  if (rule.directResponse !== undefined) {
    const { status, body } = rule.directResponse;
    return { kind: "respond", status, body: body?.string ?? textOfBase64(body?.bytes ?? "") ?? "" };
  }
  const hash = (rule.route ?? []).flatMap((to) => hashOf(context, to.destination, place));
  const mirrors = mirrorsOf(context, held, listenPort);
  return {
    kind: "forward",
    clusters: clustersOf(context, rule.route ?? [], place),
    timeoutMs: durationMs(rule.timeout ?? "") ?? 0,
    ...retryPolicy(rule.retries),
    ...annotated(held, hedgePolicy),
    ...rewriteOf(rule.rewrite),
    ...(hash.length === 0 ? {} : { hash }),
    ...(mirrors.length === 0 ? {} : { mirrors }),
    ...hostRewriteOf(rule.rewrite?.authority ?? hostIn(rule.headers)),
  };
}

/** Host is no field like others: Istio makes a rewrite of it, and an Envoy takes no edit of it. */
function hostIn(headers: HttpRoute["headers"]): string | undefined {
  const { set = {}, add = {} } = headers?.request ?? {};
  return [...Object.entries(set), ...Object.entries(add)].find(([name]) => isHost(name))?.[1];
}

function isHost(name: string): boolean {
  return name.toLowerCase() === "host" || name === ":authority";
}

function hostRewriteOf(host: string | undefined): { readonly hostRewrite?: string } {
  return host === undefined ? {} : { hostRewrite: host };
}

function rewriteOf(
  rewrite: HttpRoute["rewrite"],
): Pick<Extract<RouteAction, { kind: "forward" }>, "prefixRewrite" | "regexRewrite"> {
  const { uri, uriRegexRewrite } = rewrite ?? {};
  if (uri !== undefined) return { prefixRewrite: uri };
  if (uriRegexRewrite?.match === undefined) return {};
  const { match, rewrite: substitution = "" } = uriRegexRewrite;
  return { regexRewrite: { pattern: portableWhereRead(match), substitution } };
}

/** An empty list of what is allowed allows nothing. */
function corsOf(policy: CorsPolicy): Cors {
  const maxAgeMs = durationMs(policy.maxAge ?? "");
  return {
    origins: [
      ...(policy.allowOrigins ?? []).map(stringMatch),
      ...(policy.allowOrigin ?? []).map((value) => ({ kind: "exact" as const, value })),
    ],
    methods: policy.allowMethods ?? [],
    headers: policy.allowHeaders ?? [],
    exposedHeaders: policy.exposeHeaders ?? [],
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
    ...(policy.allowCredentials === undefined
      ? {}
      : { allowsCredentials: policy.allowCredentials }),
    forwardsUnmatchedPreflights: policy.unmatchedPreflights !== "IGNORE",
  };
}

function clustersOf(
  context: ProxyContext,
  destinations: readonly HttpRouteDestination[],
  place: DestinationPlace,
): readonly WeightedCluster[] {
  const only = destinations.length === 1;
  return destinations.flatMap((to, index) => {
    const weight = only ? 100 : (to.weight ?? 0);
    if (weight === 0) return [];
    const path = `${place.path}.route[${index}].destination`;
    const cluster = destinationCluster(context, to.destination, { ...place, path });
    return [{ cluster, weight, ...hostRewriteOf(hostIn(to.headers)), ...editsOf(to.headers) }];
  });
}

/** Without a percentage every request is copied; with one of 0, which may be left out in it, none. */
function mirrorsOf(context: ProxyContext, held: HttpRule, listenPort: number): readonly Mirror[] {
  const { mirror, mirrorPercentage, mirrorPercent, mirror_percent, mirrors = [] } = held.rule;
  const percent =
    mirrorPercentage === undefined
      ? (mirrorPercent ?? mirror_percent ?? 100)
      : (mirrorPercentage.value ?? 0);
  const written = [
    ...(mirror === undefined
      ? []
      : [{ destination: mirror, percent, field: "mirror" as const, at: "" }]),
    ...mirrors.map(({ destination, percentage }, index) => ({
      destination,
      percent: percentage === undefined ? 100 : (percentage.value ?? 0),
      field: "mirrors" as const,
      at: `[${index}].destination`,
    })),
  ];
  return written
    .filter((one) => one.percent > 0)
    .map(({ destination, percent, field, at }) => {
      const { rules, path } = placeOf(held, field);
      const place = { rules, path: `${path}.${field}${at}`, listenPort };
      return { cluster: destinationCluster(context, destination, place), percent };
    });
}

interface Edits {
  readonly requestHeaders?: HeaderEdit;
  readonly responseHeaders?: HeaderEdit;
}

function editsOf(headers: HttpRoute["headers"]): Edits {
  const request = editOf(headers?.request);
  const response = editOf(headers?.response);
  return {
    ...(request === undefined ? {} : { requestHeaders: request }),
    ...(response === undefined ? {} : { responseHeaders: response }),
  };
}

function editOf(operations: HeaderOperations | undefined): HeaderEdit | undefined {
  const edited = (fields: HeaderOperations["set"]) =>
    Object.entries(fields ?? {}).filter(([name]) => !isHost(name));
  const set = edited(operations?.set);
  const add = edited(operations?.add);
  const remove = (operations?.remove ?? []).filter((name) => !isHost(name));
  return set.length + add.length + remove.length === 0 ? undefined : { set, add, remove };
}
