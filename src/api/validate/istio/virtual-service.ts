/** VirtualServices: the structure of Istio's API, and the rules of istiod's own validation. */

import { textOfBase64 } from "../../../base/base64.ts";
import type { HttpRoute, VirtualService } from "../../istio/networking.ts";
import { cidr } from "../address.ts";
import { duration } from "../duration.ts";
import { isDnsLabel, isDnsSubdomain, wildcardHost } from "../names.ts";
import { type Check, type Place, refine } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import { boolean, integer, nonEmpty, oneOf, portNumber, text } from "../schema/scalar.ts";
import { destination, headerOperations, httpDestinations, tcpDestinations } from "./destination.ts";
import { exportTo } from "./export-to.ts";
import { fault } from "./fault.ts";
import { headerName, httpMatch, originMatches, percent, percentage, regex } from "./match.ts";
import { onlyOne } from "./only-one.ts";

type Given = Readonly<Record<string, unknown>>;

/** Envoy's, over HTTP and gRPC; statuses of HTTP may stand among them. */
const retryConditionNames: ReadonlySet<string> = new Set([
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "refused-stream",
  "retriable-4xx",
  "retriable-status-codes",
  "retriable-headers",
  "envoy-ratelimited",
  "http3-post-connect-failure",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
]);

const retryConditions: Check = text((value) => {
  const unknown = value
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "" && !retryConditionNames.has(one) && !/^[1-5]\d\d$/.test(one));
  if (unknown.length === 0) return undefined;
  return `must be conditions that Envoy knows, or statuses: not ${unknown.join(", ")}`;
});

const retries: Check = refine<Given>(
  record({
    attempts: integer(0),
    perTryTimeout: duration(),
    retryOn: retryConditions,
    retryRemoteLocalities: boolean,
    retryIgnorePreviousHosts: boolean,
    backoff: duration(),
  }),
  (value, at) => {
    if (value["attempts"] !== 0) return;
    for (const key of ["perTryTimeout", "retryOn", "retryRemoteLocalities", "backoff"]) {
      if (value[key] !== undefined && value[key] !== null) {
        at.field(key).error("must be absent where attempts is 0");
      }
    }
  },
);

const status = integer(200, 599);

/** Those that send a client elsewhere; Envoy has no others. */
const redirectStatus: Check = (value, at) => {
  const all: readonly unknown[] = [301, 302, 303, 307, 308];
  if (!all.includes(value)) at.error(`must be one of ${all.join(", ")}, got ${value}`);
};

const redirect: Check = onlyOne(
  {
    uri: text(),
    prefixRewrite: text(),
    authority: text(),
    scheme: text(),
    port: portNumber,
    derivePort: oneOf("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"),
    redirectCode: redirectStatus,
  },
  ["uri", "prefixRewrite"],
  0,
);

const base64Text = text((value) =>
  textOfBase64(value) === undefined ? "must be text (UTF-8) in base64" : undefined,
);

const directResponse = record({
  "status!": status,
  body: onlyOne({ string: text(), bytes: base64Text }, ["string", "bytes"], 0),
});

const corsPolicy = record({
  allowOrigin: list(text()),
  allowOrigins: originMatches,
  allowMethods: list(nonEmpty),
  allowHeaders: list(headerName),
  exposeHeaders: list(headerName),
  maxAge: duration(),
  allowCredentials: boolean,
  unmatchedPreflights: oneOf("UNSPECIFIED", "FORWARD", "IGNORE"),
});

const httpRoute: Check = refine<HttpRoute & Given>(
  record({
    name: text(),
    match: list((value, at) => (value === null ? undefined : httpMatch(value, at))),
    route: httpDestinations,
    redirect,
    directResponse,
    delegate: record({ name: nonEmpty, namespace: text() }),
    rewrite: onlyOne(
      {
        uri: text(),
        authority: text(),
        uriRegexRewrite: record({ match: regex, rewrite: text() }),
      },
      ["uri", "uriRegexRewrite"],
      0,
    ),
    timeout: duration(),
    retries,
    fault,
    mirror: destination,
    mirrors: list(record({ "destination!": destination, percentage })),
    mirrorPercent: percent,
    mirror_percent: percent,
    mirrorPercentage: percentage,
    corsPolicy,
    headers: headerOperations,
  }),
  oneAction,
  ["match", "redirect", "rewrite", "headers"],
);

/** A route forwards, or redirects, or answers, or delegates: one of them, and what belongs to forwarding only there. */
function oneAction(route: HttpRoute & Given, at: Place): void {
  // As in Istio, an answer beside a delegate is one that the delegate's rules take over.
  const own = isGiven(route["delegate"]) ? ["delegate"] : ["directResponse"];
  const actions = ["route", "redirect", ...own].filter((key) => isGiven(route[key]));
  if (actions.length !== 1) {
    const got = actions.length === 0 ? "none" : actions.join(", ");
    at.error(`must have exactly one of route, redirect, directResponse, delegate, got ${got}`);
  }
  if (actions[0] === "redirect" || actions[0] === "directResponse") {
    for (const key of ["rewrite", "timeout", "retries", "mirror", "mirrors"] as const) {
      if (route[key]) at.field(key).error(`must be absent in a route with ${actions[0]}`);
    }
  }
  if (route["mirror"] && route["mirrors"]) at.error("must have mirror or mirrors, got both");
  const prefix = (route.redirect as Given | undefined)?.["prefixRewrite"];
  const onPrefix = (route.match ?? []).every((one) => !one?.uri || one.uri.prefix !== undefined);
  if (prefix !== undefined && !onPrefix) {
    at.field("redirect").field("prefixRewrite").error("must go with uri matches by prefix");
  }
  const setsAuthority = Object.keys(route.headers?.request?.set ?? {}).includes(":authority");
  if (setsAuthority && route.rewrite?.authority) {
    at.field("rewrite").field("authority").error("must be absent where a header sets :authority");
  }
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
}

/** Taken, since Istio has it, and of no effect. */
function passedOver(check: Check): Check {
  return (value, at) => {
    check(value, at);
    at.warning("is passed over: connections are told apart by host, port, name and who calls");
  };
}

const l4Match = {
  destinationSubnets: passedOver(list(cidr)),
  port: portNumber,
  sourceLabels: mapOf(text()),
  sourceNamespace: text(),
  gateways: list(nonEmpty),
};

const tcpRoute = record({
  match: list(record({ ...l4Match, sourceSubnet: passedOver(text()) })),
  "route!": tcpDestinations,
});

const tlsRoute = record({
  "match!": list(record({ ...l4Match, "sniHosts!": list(wildcardHost, 1) }), 1),
  "route!": tcpDestinations,
});

/** `mesh`, a name, or `namespace/name`. */
const gatewayName = text((value) => {
  const [first = "", second, ...more] = value.split("/");
  const fits =
    second === undefined
      ? isDnsSubdomain(first)
      : (first === "." || isDnsLabel(first)) && isDnsSubdomain(second);
  return fits && more.length === 0 ? undefined : "must be mesh or [namespace/]gateway";
});

/** Without hosts it holds only where another one's HTTP rules delegate to it. */
function delegatesOnce({ hosts = [], http = [] }: VirtualService["spec"], at: Place): void {
  if (hosts.length > 0) return;
  for (const [index, { delegate }] of http.entries()) {
    if (!isGiven(delegate)) continue;
    const rule = at.field("http").item(index);
    rule.field("delegate").error("must be absent without spec.hosts: a delegate does not delegate");
  }
}

const withOneMeaning: Check = refine<VirtualService["spec"] & Given>(
  record({
    hosts: list(wildcardHost),
    gateways: list(gatewayName),
    exportTo,
    http: list(httpRoute),
    tcp: list(tcpRoute),
    tls: list(tlsRoute),
  }),
  ({ hosts = [], gateways = [], ...spec }, at) => {
    for (const key of hosts.length === 0 ? ["gateways", "tcp", "tls"] : []) {
      const given = key === "gateways" ? gateways : (spec[key] as unknown[] | undefined);
      if (!given?.length) continue;
      at.field(key).error("must be absent without spec.hosts: a delegate has http only");
    }
    const inMesh = gateways.length === 0 || gateways.includes("mesh");
    for (const [index, host] of hosts.entries()) {
      if (host === "*" && inMesh) {
        at.field("hosts").item(index).error("must not be * for the mesh: bind it to a gateway");
      }
      if (hosts.indexOf(host) !== index) {
        at.field("hosts").item(index).error(`must be unique, got "${host}"`);
      }
    }
    const routes = ["http", "tcp", "tls"].filter((key) => (spec[key] as unknown[])?.length);
    if (routes.length === 0) at.error("must have one of http, tcp, tls, got none");
  },
  ["hosts", "gateways"],
);

export const virtualServiceSpec: Check = refine(withOneMeaning, delegatesOnce, ["hosts", "http"]);
