/**
 * Which endpoints the kernel of a node chooses from for a pod's connection to a Service, how it chooses, and whose word
 * decides: the same functions that fill the node's maps, asked for one Service.
 */

import { cidrContains, familyOf, renderCidr } from "../../base/ip.ts";
import type {
  EndpointView,
  NodeView,
  ServicePortView,
  ServiceView,
} from "../../model/node-view.ts";
import { slotsOf, usableEndpoints } from "../dataplane/services/usable.ts";
import type { Decider } from "./explanation.ts";

export type ServiceChoice =
  | {
      readonly kind: "endpoints";
      readonly endpoints: readonly EndpointView[];
      /** `one of 2 endpoints at random`. */
      readonly how: string;
      readonly by: readonly Decider[];
    }
  /** Nowhere is an endpoint: refused at once. */
  | { readonly kind: "nobody" }
  /** Silently dropped: others could be served. */
  | { readonly kind: "dropped"; readonly by: readonly Decider[]; readonly detail: string };

export function serviceChoice(
  view: NodeView,
  service: ServiceView,
  port: ServicePortView,
  address: string,
  source: string,
): ServiceChoice {
  const outside = isOutside(service, address);
  const guard = outside ? sourceGuard(service, address, source) : undefined;
  if (guard !== undefined) return guard;
  const own = view.nodes.find(({ name }) => name === view.node);
  const zone = own?.zone;
  const place = { node: view.node, ...(zone === undefined ? {} : { zone }) };
  const { cluster, local } = usableEndpoints(port, familyOf(address), place);
  // A pod that asks an external address is served as from inside, by any endpoint, whatever the external policy says.
  const isLocal = !outside && service.internalLocal === true;
  const endpoints = isLocal ? local : cluster;
  const name = `${service.namespace}/${service.name}`;
  if (endpoints.length === 0) {
    if (cluster.length === 0) return { kind: "nobody" };
    const elsewhere = cluster.map(({ node = "elsewhere" }) => node).join(", ");
    return {
      kind: "dropped",
      by: [{ kind: "Service", name, path: "spec.internalTrafficPolicy" }],
      detail: `Service ${name} wants endpoints on the client's own node, and ${view.node} has none (${elsewhere} has)`,
    };
  }
  return { kind: "endpoints", endpoints, ...manner(service, port, endpoints, isLocal, view, name) };
}

/** An address that is not one of the Service's own is one from outside, be it a node's. */
function isOutside({ clusterIp, clusterIps = [] }: ServiceView, address: string): boolean {
  return address !== clusterIp && !clusterIps.includes(address);
}

function sourceGuard(
  { namespace, name, external = [], sourceRanges }: ServiceView,
  address: string,
  source: string,
): ServiceChoice | undefined {
  if (sourceRanges === undefined) return undefined;
  if (!external.some((each) => each.kind === "load-balancer" && each.address === address)) {
    return undefined;
  }
  if (sourceRanges.some((range) => cidrContains(range, source))) return undefined;
  const ranges = sourceRanges.map(renderCidr).join(", ");
  return {
    kind: "dropped",
    by: [
      {
        kind: "Service",
        name: `${namespace}/${name}`,
        path: "spec.loadBalancerSourceRanges",
      },
    ],
    detail: `${source} is in none of the ranges that may use ${address}: ${ranges}`,
  };
}

function manner(
  service: ServiceView,
  port: ServicePortView,
  endpoints: readonly EndpointView[],
  isLocal: boolean,
  { node }: NodeView,
  name: string,
): { readonly how: string; readonly by: readonly Decider[] } {
  const by: Decider[] = [{ kind: "Service", name, path: "spec.selector" }];
  const words = [`one of ${endpoints.length} endpoints`];
  const say = (path: string, what: string): void => {
    by.push({ kind: "Service", name, path });
    words.push(what);
  };
  if (isLocal) say("spec.internalTrafficPolicy", `on ${node}`);
  const isAllReady = !isLocal && endpoints.length === port.endpoints.length;
  if (!isLocal && !isAllReady && endpoints.every((each) => port.endpoints.includes(each))) {
    say("spec.trafficDistribution", "that are near");
  }
  if (service.balancing === "maglev") words.push("by a hash of the client");
  else if (slotsOf(endpoints) !== endpoints) words.push("at random by weight");
  else words.push("at random");
  if (service.affinitySeconds !== undefined) {
    say("spec.sessionAffinity", `and stays with it for ${service.affinitySeconds} s`);
  }
  return { how: words.join(" "), by };
}
