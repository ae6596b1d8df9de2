/**
 * The cluster that a route's destination means.
 *
 * A destination that is not there is said, and still becomes a name: requests to it get 503 with a flag that tells
 * which kind of nothing it was, as in Istio, and nothing else of the configuration suffers.
 */

import type { Destination, VirtualService } from "../../api/istio/networking.ts";
import type { HashKey } from "../../model/proxy-config.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { missingSubset } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import { policyOfPort, ruleFor } from "./destination-rules.ts";
import { resolveHost } from "./host.ts";
import type { MeshPort, MeshService } from "./mesh-service.ts";
import { outboundCluster } from "./names.ts";
import { serviceOfHost } from "./services.ts";
import { hashKeys } from "./traffic-policy.ts";

export interface DestinationPlace {
  readonly rules: VirtualService;
  /** Path of the destination in the object, for notes: `spec.http[0].route[1].destination`. */
  readonly path: string;
  /** The port that the request was sent to: what holds where neither route nor Service says. */
  readonly listenPort: number;
}

export function destinationCluster(
  context: ProxyContext,
  destination: Destination,
  place: DestinationPlace,
): string {
  const host = resolveHost(destination.host, namespaceOf(place.rules));
  const service = serviceOfHost(context.world, host, context.namespace);
  const portNumber = portOf(destination, service, place);
  const name = outboundCluster(portNumber, destination.subset, host);
  if (service === undefined) {
    note(
      context,
      place,
      "HEDDLE0101",
      "host",
      `${destination.host} is no Service, and no host of a ServiceEntry`,
    );
    return name;
  }
  const port = service.ports.find((candidate) => candidate.port === portNumber);
  if (port === undefined) {
    const message = `${service.kind} ${service.namespace}/${service.name} has no TCP port ${portNumber}`;
    note(context, place, "HEDDLE0103", "port", message);
    return name;
  }
  if (destination.subset !== undefined) {
    requireSubset(context, place, service, port, destination.subset);
  }
  return name;
}

/** Its own; else the only one that the Service has; else the one that the request was sent to. */
function portOf(
  { port }: Destination,
  service: MeshService | undefined,
  { listenPort }: Pick<DestinationPlace, "listenPort">,
): number {
  const [only, second] = service?.ports ?? [];
  return port?.number ?? (second === undefined ? only?.port : undefined) ?? listenPort;
}

/** What consistent hashing goes by at this destination: its DestinationRule's, or its subset's own. */
export function hashOf(
  context: ProxyContext,
  destination: Destination,
  place: Pick<DestinationPlace, "rules" | "listenPort">,
): readonly HashKey[] {
  const { host, subset } = destination;
  const fullHost = resolveHost(host, namespaceOf(place.rules));
  const service = serviceOfHost(context.world, fullHost, context.namespace);
  const rule = service && ruleFor(context.world, context, service);
  const named = rule?.subsets.find(({ name }) => name === subset);
  const { policy } = named ?? rule ?? {};
  return hashKeys(policyOfPort(policy, portOf(destination, service, place)));
}

function requireSubset(
  context: ProxyContext,
  place: DestinationPlace,
  service: MeshService,
  port: MeshPort,
  subset: string,
): void {
  const rule = ruleFor(context.world, context, service);
  if (rule?.subsets.some(({ name }) => name === subset) === true) return;
  const missing = missingSubset(service, port, subset);
  context.extraClusters.set(missing[0].name, missing);
  const message = `no DestinationRule for ${service.host} has a subset ${subset}: it has no endpoints`;
  note(context, place, "HEDDLE0102", "subset", message);
}

function note(
  context: ProxyContext,
  place: DestinationPlace,
  code: string,
  field: string,
  message: string,
): void {
  const { rules, path } = place;
  const where = `VirtualService ${namespaceOf(rules)}/${rules.metadata.name} ${path}.${field}`;
  context.note({ severity: "warning", code, where, message });
}
