/**
 * A VirtualService's request match as a route match.
 *
 * What is known when compiling (the caller's labels and namespace, the port, the gateway) decides here whether the
 * route exists for this proxy at all; the rest becomes the match.
 */

import type { HttpMatchRequest, StringMatch as Written } from "../../api/istio/networking.ts";
import { portableWhereRead } from "../../base/re2.ts";
import type { HeaderMatch, PathMatch, RouteMatch, StringMatch } from "../../model/proxy-config.ts";
import { matchesLabels } from "../registry/selector.ts";
import type { ProxyContext } from "./context.ts";
import { isForMesh } from "./virtual-services.ts";

/** Whether requests of this proxy, sent to this port, can match at all; `match` is one of httpRules (http-rules.ts). */
export function appliesTo(
  match: HttpMatchRequest,
  context: ProxyContext,
  listenPort: number,
): boolean {
  return (
    isBound(match.gateways, context) &&
    (match.port === undefined || match.port === listenPort) &&
    (!match.sourceNamespace || match.sourceNamespace === context.namespace) &&
    matchesLabels(context.labels, match.sourceLabels ?? {})
  );
}

/**
 * `gateways`: by their full names; absent means the VirtualService's own, of which the one that is being compiled is one
 * by now.
 */
export function isBound(
  gateways: readonly string[] | undefined,
  { gateway }: Pick<ProxyContext, "gateway">,
): boolean {
  if (gateway === undefined) return isForMesh(gateways);
  return gateways === undefined || gateways.length === 0 || gateways.includes(gateway);
}

/**
 * `namespace/name` of the Gateway that an object of the namespace means by `name`, `namespace/name`, `./name` or a full
 * DNS name; the mesh is no Gateway and has none.
 */
export function gatewayNamed(written: string, namespace: string): string {
  if (written === "mesh") return written;
  if (written.startsWith("./")) return `${namespace}${written.slice(1)}`;
  if (written.includes("/")) return written;
  const [name = "", owner] = written.split(".");
  return `${owner ?? namespace}/${name}`;
}

export const everyRequest: RouteMatch = {
  path: { kind: "prefix", value: "/" },
  headers: [],
  queryParameters: [],
};

export function routeMatch(match: HttpMatchRequest): RouteMatch {
  return {
    path: pathMatch(match.uri),
    headers: [
      ...pseudoHeaders(match),
      ...headers(match.headers, false),
      ...headers(match.withoutHeaders, true),
    ],
    queryParameters: Object.entries(match.queryParams ?? {}).map(([name, written]) => ({
      name,
      match: stringMatch(written),
    })),
    ...(match.ignoreUriCase === true && match.uri !== undefined ? { ignoreCase: true } : {}),
  };
}

/** True where nothing after this match in the list can ever be reached. */
export function matchesEverything(match: RouteMatch): boolean {
  const { path, headers, queryParameters } = match;
  const anyPath =
    (path.kind === "prefix" && path.value === "/") ||
    (path.kind === "regex" && (path.value === ".*" || path.value === "/.*"));
  return anyPath && headers.length === 0 && queryParameters.length === 0;
}

function pathMatch(uri: Written | undefined): PathMatch {
  if (uri?.exact !== undefined) return { kind: "exact", value: uri.exact };
  if (uri?.regex !== undefined) return { kind: "regex", value: portableWhereRead(uri.regex) };
  return { kind: "prefix", value: uri?.prefix ?? "/" };
}

function pseudoHeaders(match: HttpMatchRequest): HeaderMatch[] {
  const written = {
    ":method": match.method,
    ":authority": match.authority,
    ":scheme": match.scheme,
  };
  return Object.entries(written).flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, match: stringMatch(value), invert: false }],
  );
}

function headers(
  written: Readonly<Record<string, Written>> | undefined,
  invert: boolean,
): HeaderMatch[] {
  return Object.entries(written ?? {}).map(([name, value]) => ({
    name: name.toLowerCase(),
    match: stringMatch(value),
    invert,
  }));
}

/** An empty match means: present, with whatever value. */
export function stringMatch(written: Written): StringMatch {
  if (written.exact !== undefined) return { kind: "exact", value: written.exact };
  if (written.prefix !== undefined) return { kind: "prefix", value: written.prefix };
  if (written.regex !== undefined)
    return { kind: "regex", value: portableWhereRead(written.regex) };
  return { kind: "present" };
}
