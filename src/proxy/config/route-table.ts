/**
 * Route configurations as look-ups: authority → virtual host → first route that matches → its handler.
 *
 * Each route's filters are stacked here, once, in the order in which a request passes them.
 */

import type {
  Cluster,
  HeaderEdit,
  Route,
  RouteConfig,
  RouteMatch,
  WeightedCluster,
} from "../../model/proxy-config.ts";
import type { Environment } from "../environment.ts";
import { compress } from "../filter/compress.ts";
import { cors, type Sharing } from "../filter/cors.ts";
import { fault } from "../filter/fault.ts";
import { hedge } from "../filter/hedge.ts";
import { mirroring } from "../filter/mirror.ts";
import { rateLimit } from "../filter/rate-limit.ts";
import { redirect } from "../filter/redirect.ts";
import { respond } from "../filter/respond.ts";
import { retries } from "../filter/retries.ts";
import { router } from "../filter/router.ts";
import { timeout } from "../filter/timeout.ts";
import type { Exchange } from "../stack/exchange.ts";
import { type Filter, type Handler, stack } from "../stack/handler.ts";
import { type SubsetName, subsetName } from "../upstream/balancer/subsets.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import { compileFirstMatch } from "./first-match.ts";
import { type CompiledEdit, compileEdits } from "./header-edits.ts";
import { compileRouteMatch, type Matcher } from "./matchers.ts";
import { compileHosts, type HostTable } from "./virtual-hosts.ts";

export interface CompiledRoute {
  readonly name: string;
  readonly origin: string | undefined;
  readonly virtualHost: string;
  readonly match: RouteMatch;
  readonly matches: Matcher;
  readonly handle: Handler;
  /** Which pages may read its answers; undefined: those of its own origin. */
  readonly sharing: Sharing | undefined;
  /** Where most of its requests go: what one that is ended before its destination was chosen was for. */
  readonly heaviest: ClusterRuntime | undefined;
}

/** A destination of a route, with what is edited on the way to it and back. */
export interface Destination {
  readonly name: string;
  readonly weight: number;
  /** Undefined: the configuration names a cluster that it does not have. */
  readonly cluster: ClusterRuntime | undefined;
  readonly requestEdit: CompiledEdit | undefined;
  readonly responseEdit: CompiledEdit | undefined;
  /** The part of the cluster's hosts that is meant. */
  readonly subset?: SubsetName | undefined;
}

export type FindCluster = (name: Cluster["name"]) => ClusterRuntime | undefined;

export class RouteTable {
  readonly #hosts: HostTable<(exchange: Exchange) => CompiledRoute | undefined>;

  constructor(config: RouteConfig, clusters: FindCluster, environment: Environment) {
    this.#hosts = compileHosts(config.virtualHosts, (host) =>
      compileFirstMatch(
        host.routes.map((route, index) => {
          const place = { table: config.name, virtualHost: host.name, index };
          return compileRoute(route, place, clusters, environment);
        }),
      ),
    );
  }

  find(exchange: Exchange): CompiledRoute | undefined {
    return this.#hosts.find(exchange.authority)?.(exchange);
  }
}

/** Where in the configuration a route stands. */
interface RoutePlace {
  readonly table: string;
  readonly virtualHost: string;
  readonly index: number;
}

function compileRoute(
  route: Route,
  place: RoutePlace,
  clusters: FindCluster,
  environment: Environment,
): CompiledRoute {
  const sharing = route.cors === undefined ? undefined : cors(route.cors);
  return {
    name: route.name,
    origin: route.origin,
    virtualHost: place.virtualHost,
    match: route.match,
    matches: compileRouteMatch(route.match),
    handle: handlerOf(route, sharing?.filter, place, clusters, environment),
    sharing,
    heaviest: heaviestOf(route, clusters),
  };
}

function heaviestOf({ name, action }: Route, clusters: FindCluster): ClusterRuntime | undefined {
  // Istio: the route that answers for what nobody declared is counted as the black hole that connections end in.
  if (name === "block_all") return clusters("BlackHoleCluster");
  if (action.kind !== "forward") return undefined;
  const [most] = action.clusters.toSorted((a, b) => b.weight - a.weight);
  return most === undefined ? undefined : clusters(most.cluster);
}

function handlerOf(
  route: Route,
  sharing: Filter | undefined,
  place: RoutePlace,
  clusters: FindCluster,
  environment: Environment,
): Handler {
  const { action } = route;
  const limits = limitOf(route, place, environment);
  const faults = route.fault === undefined ? undefined : fault(route.fault, environment);
  const edit = compileEdits([route.responseHeaders]);
  if (action.kind === "redirect") {
    return stack([sharing, limits, faults], redirect(action, route.match, edit));
  }
  if (action.kind === "respond") return stack([sharing, limits, faults], respond(action, edit));
  const destinations = action.clusters.map((to) => destinationOf(route, to, clusters));
  const { mirrors } = action;
  const copying = mirrors === undefined ? undefined : mirroring(mirrors, clusters, environment);
  return stack(
    [
      sharing, // outside of faults: a page may read why its request was aborted
      limits, // what is refused costs nothing more
      route.compression === undefined ? undefined : compress(route.compression, environment),
      faults, // before anything that costs: an aborted request reaches nobody
      timeout(action.timeoutMs, environment), // covers every try below
      action.retry === undefined ? undefined : retries(action.retry, environment),
      action.hedge === undefined ? undefined : hedge(action.hedge, environment), // beside a try, not after it
    ],
    router(destinations, { match: route.match, action, mirroring: copying }, environment),
  );
}

function limitOf(
  { name, rateLimit: limit }: Route,
  { table, virtualHost, index }: RoutePlace,
  { buckets }: Environment,
): Filter | undefined {
  if (limit === undefined) return undefined;
  // The name, too: a rule that is put in front of others must not take over a bucket.
  return rateLimit(buckets.at(`${table} ${virtualHost} ${index} ${name}`, limit));
}

function destinationOf(route: Route, to: WeightedCluster, clusters: FindCluster): Destination {
  return {
    name: to.cluster,
    weight: to.weight,
    cluster: clusters(to.cluster),
    // Envoy evaluates the cluster's edits before the route's.
    requestEdit: compileEdits([to.requestHeaders, hostEdit(to), route.requestHeaders]),
    responseEdit: compileEdits([to.responseHeaders, route.responseHeaders]),
    subset: subsetOf(route, to),
  };
}

function subsetOf({ action }: Route, { metadata }: WeightedCluster): SubsetName | undefined {
  const ofRoute = action.kind === "forward" ? action.metadata : undefined;
  if (ofRoute === undefined && metadata === undefined) return undefined;
  return subsetName({ ...ofRoute, ...metadata });
}

function hostEdit({ hostRewrite }: WeightedCluster): HeaderEdit | undefined {
  return hostRewrite === undefined
    ? undefined
    : { set: [["host", hostRewrite]], add: [], remove: [] };
}
