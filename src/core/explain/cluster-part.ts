/** One weighted cluster of a route: its subset, and who is in it. */

import type { DestinationRule, VirtualService } from "../../api/istio/networking.ts";
import type { Pod, Service } from "../../api/k8s/core.ts";
import type { Cluster, Endpoint } from "../../model/proxy-config.ts";
import { type Client, ruleFor } from "../mesh/destination-rules.ts";
import { resolveHost } from "../mesh/host.ts";
import type { MeshPort } from "../mesh/mesh-service.ts";
import { blackHoleCluster } from "../mesh/names.ts";
import { serviceOfHost } from "../mesh/services.ts";
import type { OutboundWalk, Destination as WalkedDestination } from "../mesh/walk.ts";
import { servicePortsOf } from "../registry/services.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectNamed, objectsOf } from "../registry/world.ts";
import { entryDecider, resolutionInWords } from "./entry.ts";
import type { Decider, HttpRequest, Step } from "./explanation.ts";
import { forwarded } from "./forwarded.ts";
import {
  endpointCount,
  type Reason,
  subsetPlace,
  whyNobody,
  whyNobodyInSubset,
} from "./no-endpoints.ts";
import { candidateAt } from "./pods.ts";
import { onlyDeclared } from "./route-step.ts";
import { seenNoCluster, seenNoEndpoint, type Via } from "./seen.ts";
import { percent, refusal } from "./verdict.ts";
import type { Part, SidecarQuestion } from "./way.ts";

export function clusterPart(
  asked: SidecarQuestion,
  walk: OutboundWalk,
  { cluster: name, share, endpoints = [] }: WalkedDestination,
  via: Via,
  routedBy: readonly Decider[],
): Part {
  const { world, config } = asked;
  const cluster = config.clusters.find((one) => one.name === name);
  const place = destinationPlace(asked, routedBy, cluster);
  if (cluster === undefined) return noCluster(asked, name, share, via, routedBy);
  const of = cluster.service;
  const service = of && objectNamed<Service>(world, "Service", of.namespace, of.name);
  const port = service && servicePortsOf(service).find((one) => one.port === of.port);
  const { by, labels } = subsetOf(asked, cluster);
  const clusterStep: Step = {
    step: "cluster",
    outcome: "pass",
    by: [...(place === undefined ? [] : [place]), ...by],
    detail: `${percent(share)} to ${name}`,
  };
  const entry = of && service === undefined ? entryPart(asked, of) : undefined;
  if (entry !== undefined && endpoints.length > 0) {
    const request = requestTo(asked, walk, name);
    const step: Step = {
      step: "endpoints",
      outcome: "pass",
      by: entry.decider === undefined ? [] : [entry.decider],
      detail: `${resolutionInWords(entry.port)}${nearestFirst(endpoints)}`,
    };
    const candidates = endpoints.map((endpoint) => candidateAt(world, endpoint));
    const to = request === undefined ? {} : { request };
    return {
      share,
      steps: [clusterStep, step],
      end: { kind: "candidates", via, candidates, ...to },
    };
  }
  if (service === undefined || port === undefined || endpoints.length === 0) {
    const reason = nobody(asked, cluster, service, port, place);
    const verdict = refusal("endpoints", seenNoEndpoint(via), reason);
    const step: Step = {
      step: "endpoints",
      outcome: "refuse",
      by: reason.by,
      detail: reason.detail,
    };
    return { share, steps: [clusterStep, step], end: { kind: "verdict", verdict } };
  }
  const { ready, others } = endpointCount(world, service, port, labels);
  const unready = others.length === 0 ? "" : `; not ready: ${others.join(", ")}`;
  const endpointsStep: Step = {
    step: "endpoints",
    outcome: "pass",
    by: [{ kind: "Service", name: objectKey(service), path: "spec.selector" }],
    detail: `${ready} of ${ready + others.length} ready${unready}${nearestFirst(endpoints)}`,
  };
  const request = requestTo(asked, walk, name);
  return {
    share,
    steps: [clusterStep, endpointsStep],
    end: {
      kind: "candidates",
      via,
      candidates: endpoints.map((endpoint) => candidateAt(world, endpoint)),
      ...(request === undefined ? {} : { request }),
    },
  };
}

interface EntryPart {
  readonly port: MeshPort;
  readonly decider: Decider | undefined;
}

/** The ServiceEntry behind a cluster. */
function entryPart(
  { world, source }: SidecarQuestion,
  { namespace, host, port }: NonNullable<Cluster["service"]>,
): EntryPart | undefined {
  const known = serviceOfHost(world, host, namespaceOf(source));
  const found = known?.ports.find((one) => one.port === port);
  if (found === undefined) return undefined;
  return { port: found, decider: entryDecider(world, { namespace, host }, port) };
}

/** `; nearest first: 2 in eu/a, then 1 in us/a`, where there is an order. */
function nearestFirst(endpoints: readonly Endpoint[]): string {
  const levels = Map.groupBy(endpoints, ({ priority = 0 }) => priority);
  if (levels.size < 2) return "";
  const words = [...levels.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, members]) => {
      const places = new Set(
        members.map(({ locality }) =>
          [locality?.region, locality?.zone, locality?.subZone].filter(Boolean).join("/"),
        ),
      );
      return `${members.length} in ${[...places].map((place) => place || "no place").join(", ")}`;
    });
  return `; nearest first: ${words.join(", then ")}`;
}

function requestTo(
  { request }: SidecarQuestion,
  { route }: OutboundWalk,
  cluster: string,
): HttpRequest | undefined {
  if (request === undefined || route?.action.kind !== "forward") return request;
  return forwarded(request, route, route.action, cluster);
}

function noCluster(
  { notes }: SidecarQuestion,
  name: string,
  share: number,
  via: Via,
  by: readonly Decider[],
): Part {
  const place = by[0] === undefined ? "" : `${by[0].kind} ${by[0].name} ${by[0].path ?? ""}`;
  const note = notes.find(({ where }) => place !== "" && where.startsWith(place));
  const detail = note === undefined ? `nothing is called ${name}` : note.message;
  return {
    share,
    steps: [
      { step: "cluster", outcome: "refuse", by, detail: `${percent(share)} to ${name}: ${detail}` },
    ],
    end: { kind: "verdict", verdict: refusal("cluster", seenNoCluster(via), { by, detail }) },
  };
}

function nobody(
  asked: SidecarQuestion,
  cluster: Cluster,
  service: Service | undefined,
  port: Parameters<typeof whyNobody>[2] | undefined,
  place: Decider | undefined,
): Reason {
  const subset = cluster.service?.subset;
  if (cluster.name === blackHoleCluster) {
    const detail = "no Service and no ServiceEntry is there, and only those may be called";
    return { by: [onlyDeclared(asked)], detail };
  }
  const of = cluster.service;
  if (service === undefined || port === undefined) {
    const decider = of && entryDecider(asked.world, of, of.port);
    const by = decider === undefined ? [] : [decider];
    return { by, detail: `nobody is behind ${cluster.name}` };
  }
  if (subset === undefined) return whyNobody(asked.world, service, port);
  return endpointCount(asked.world, service, port, {}).ready === 0
    ? whyNobody(asked.world, service, port)
    : whyNobodyInSubset(asked.world, clientOf(asked.source), service, subset, place);
}

function subsetOf(
  { world, source }: SidecarQuestion,
  { service }: Cluster,
): { readonly by: readonly Decider[]; readonly labels: Readonly<Record<string, string>> } {
  const known =
    service === undefined ? undefined : serviceOfHost(world, service.host, namespaceOf(source));
  const rules = known === undefined ? undefined : ruleFor(world, clientOf(source), known);
  if (service?.subset === undefined)
    return { by: (rules?.from ?? []).map(ruleDecider), labels: {} };
  const place = subsetPlace(rules?.from ?? [], service.subset);
  return { by: place === undefined ? [] : [place.decider], labels: place?.labels ?? {} };
}

function clientOf(source: Pod): Client {
  return { namespace: namespaceOf(source), labels: source.metadata.labels ?? {} };
}

function ruleDecider(rule: DestinationRule): Decider {
  return { kind: "DestinationRule", name: objectKey(rule), path: "spec.trafficPolicy" };
}

/** Which destination of the matched rule the cluster is. */
function destinationPlace(
  { world }: SidecarQuestion,
  by: readonly Decider[],
  cluster: Cluster | undefined,
): Decider | undefined {
  const rule = by.at(-1);
  const at = /^spec\.(http|tcp)\[(\d+)\]$/.exec(rule?.path ?? "");
  const rules = objectsOf<VirtualService>(world, "VirtualService").find(
    (one) => objectKey(one) === rule?.name,
  );
  if (rule === undefined || at === null || rules === undefined) return undefined;
  const list = at[1] === "http" ? rules.spec.http : rules.spec.tcp;
  const index = (list?.[Number(at[2])]?.route ?? []).findIndex(
    ({ destination }) =>
      resolveHost(destination.host, namespaceOf(rules)) === cluster?.service?.host &&
      destination.subset === cluster?.service?.subset,
  );
  return index < 0 ? undefined : { ...rule, path: `${rule.path}.route[${index}].destination` };
}
