/** A request as it leaves the source's sidecar: path and host rewritten, headers edited, as the route says. */

import type { HeaderEdit, Route, RouteAction } from "../../model/proxy-config.ts";
import type { HttpRequest } from "./explanation.ts";

export function forwarded(
  request: HttpRequest,
  route: Route,
  action: Extract<RouteAction, { kind: "forward" }>,
  cluster: string,
): HttpRequest {
  const edits = [
    route.requestHeaders,
    action.clusters.find((one) => one.cluster === cluster)?.requestHeaders,
  ].filter((edit) => edit !== undefined);
  const headers = edits.reduce(edited, request.headers);
  const named = edits.flatMap(({ set, add }) => [...set, ...add]).findLast(isAuthority)?.[1];
  return {
    method: request.method,
    host: named ?? action.hostRewrite ?? request.host,
    path: rewrite(request.path, route, action.prefixRewrite),
    headers,
  };
}

function rewrite(target: string, { match }: Route, by: string | undefined): string {
  if (by === undefined) return target;
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? "" : target.slice(mark);
  const made = rewritten(path, match, by);
  return `${made.startsWith("/") ? made : `/${made}`}${query}`;
}

/** Replaces what the route matched; a matched expression stands for the whole path. */
function rewritten(path: string, match: Route["match"], by: string): string {
  return match.path.kind === "prefix" ? `${by}${path.slice(match.path.value.length)}` : by;
}

function edited(headers: HttpRequest["headers"], { set, add, remove }: HeaderEdit) {
  const result = { ...headers };
  for (const name of remove) delete result[name.toLowerCase()];
  for (const [name, value] of set) if (!isAuthority([name])) result[name.toLowerCase()] = value;
  for (const [name, value] of add) {
    const key = name.toLowerCase();
    if (isAuthority([name])) continue;
    result[key] = key in result ? `${result[key]},${value}` : value;
  }
  return result;
}

function isAuthority([name]: readonly [string, string?]): boolean {
  return name === ":authority" || name.toLowerCase() === "host";
}
