/**
 * The routes in force towards a Service, in words, from the very configuration that sidecars get.
 *
 * They are those of a caller in the Service's own namespace without labels; a VirtualService that asks for the caller's
 * labels or namespace may give others other routes.
 */

import type { Service } from "../../api/k8s/core.ts";
import { serviceHost } from "../../model/names.ts";
import type { RouteView } from "../../model/observation.ts";
import type {
  Abort,
  Route,
  RouteMatch,
  StringMatch,
  WeightedCluster,
} from "../../model/proxy-config.ts";
import { limitInWords } from "../explain/rate-limit-step.ts";
import { anywhere } from "../mesh/client-place.ts";
import { outboundPart } from "../mesh/outbound-part.ts";
import { namespaceOf } from "../registry/workloads.ts";
import type { World } from "../registry/world.ts";

export function routesTo(world: World, service: Service): readonly RouteView[] {
  const namespace = namespaceOf(service);
  const host = serviceHost(namespace, service.metadata.name);
  const { routes } = outboundPart(world, namespace, {}, anywhere);
  const views = routes.flatMap((table) =>
    table.virtualHosts
      .filter(({ domains }) => domains.some((domain) => domain === host || isPortOf(domain, host)))
      .flatMap((virtualHost) => virtualHost.routes.map(viewOf)),
  );
  // The same host stands in the tables of several ports.
  return [...new Map(views.map((view) => [JSON.stringify(view), view])).values()];
}

function isPortOf(domain: string, host: string): boolean {
  return domain.startsWith(`${host}:`);
}

function viewOf(route: Route): RouteView {
  const { action } = route;
  return {
    match: matchInWords(route.match),
    to: action.kind === "forward" ? shares(action.clusters) : [],
    policies: policiesInWords(route),
    from:
      route.origin === undefined
        ? "default"
        : `VirtualService ${route.origin} ${nameIn(route)}`.trim(),
  };
}

/** The rule's own name, where it has one. */
function nameIn({ name, origin }: Route): string {
  return name === origin ? "" : name;
}

function shares(clusters: readonly WeightedCluster[]): RouteView["to"] {
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  return clusters.map(({ cluster, weight }) => ({
    destination: destinationInWords(cluster),
    weightShare: total === 0 ? 0 : weight / total,
  }));
}

/** `outbound|9080|v1|reviews.default.svc…` → `reviews.default.svc…:9080 v1`. */
function destinationInWords(cluster: string): string {
  const [direction, port, subset, host] = cluster.split("|");
  if (direction !== "outbound" || host === undefined) return cluster;
  return `${host}:${port}${subset === "" ? "" : ` ${subset}`}`;
}

function matchInWords({ path, headers, queryParameters }: RouteMatch): string {
  const method = headers.find(({ name, invert }) => name === ":method" && !invert);
  const others = headers.filter((header) => header !== method);
  const where =
    path.kind === "prefix"
      ? `${path.value}*`
      : path.kind === "regex"
        ? `~${path.value}`
        : path.value;
  const first = method === undefined ? where : `${valueInWords(method.match)} ${where}`;
  return [
    first,
    ...others.map(
      ({ name, match, invert }) =>
        `${name.startsWith(":") ? name.slice(1) : `header ${name}`} ${invert ? "not " : ""}${comparison(match)}`,
    ),
    ...queryParameters.map(({ name, match }) => `query ${name} ${comparison(match)}`),
  ].join(", ");
}

function comparison(match: StringMatch): string {
  return match.kind === "present" ? "present" : `= ${valueInWords(match)}`;
}

function valueInWords(match: StringMatch): string {
  switch (match.kind) {
    case "exact":
      return match.value;
    case "prefix":
      return `${match.value}*`;
    case "suffix":
      return `*${match.value}`;
    case "regex":
      return `~${match.value}`;
    case "present":
      return "any";
  }
}

function abortInWords(abort: Abort): string {
  return "status" in abort ? `${abort.status}` : `status ${abort.grpcStatus} of gRPC`;
}

function policiesInWords({ action, fault, rateLimit }: Route): readonly string[] {
  const words: string[] = [];
  if (rateLimit !== undefined) {
    words.push(`lets through from each caller ${limitInWords(rateLimit)}`);
  }
  if (fault?.delay !== undefined) {
    words.push(`delays ${fault.delay.percent} % by ${fault.delay.fixedMs} ms`);
  }
  if (fault?.abort !== undefined) {
    words.push(`aborts ${fault.abort.percent} % with ${abortInWords(fault.abort)}`);
  }
  if (action.kind === "redirect") words.push(`redirects: ${action.status}`);
  if (action.kind === "respond") words.push(`answers by itself: ${action.status}`);
  if (action.kind !== "forward") return words;
  if (action.timeoutMs > 0) words.push(`timeout ${action.timeoutMs} ms`);
  if (action.retry !== undefined) {
    const { attempts, perTryTimeoutMs, on } = action.retry;
    const each = perTryTimeoutMs > 0 ? `, ${perTryTimeoutMs} ms each` : "";
    words.push(`up to ${attempts} retries on ${on.join(", ")}${each}`);
  }
  for (const { cluster, percent } of action.mirrors ?? []) {
    words.push(`mirrors ${percent} % to ${destinationInWords(cluster)}`);
  }
  if (action.prefixRewrite !== undefined)
    words.push(`rewrites the path to ${action.prefixRewrite}`);
  if (action.hostRewrite !== undefined) words.push(`rewrites the host to ${action.hostRewrite}`);
  return words;
}
