/**
 * Which rule of which VirtualService takes a request, why those before it did not, and what no rule taking it means.
 */

import type { VirtualService } from "../../api/istio/networking.ts";
import { serviceHost } from "../../model/names.ts";
import type { HedgePolicy } from "../../model/proxy-config.ts";
import { ProxyContext } from "../mesh/context.ts";
import type { Subject } from "../mesh/evaluate-match.ts";
import { mostSpecific, resolveHost } from "../mesh/host.ts";
import { gatewayNamed } from "../mesh/http-match.ts";
import { serviceOfHost } from "../mesh/services.ts";
import { type SidecarScope, scopeOf } from "../mesh/sidecar-scope.ts";
import { tcpApplies } from "../mesh/tcp-routes.ts";
import { hostRules, rulesFor } from "../mesh/virtual-services.ts";
import { byAge, describe } from "../mesh/visibility.ts";
import { type OutboundWalk, pathAndQuery } from "../mesh/walk.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import type { BranchVerdict, Decider, HttpRequest, Step } from "./explanation.ts";
import { limitInWords } from "./rate-limit-step.ts";
import { leftOut, nearestRoute, placeIn, type RuleMiss, ruleMisses } from "./route-rules.ts";
import type { Via } from "./seen.ts";
import { refusal, renderDifference } from "./verdict.ts";
import type { SidecarQuestion } from "./way.ts";

export interface RouteOutcome {
  readonly steps: readonly Step[];
  readonly by: readonly Decider[];
  readonly via: Via;
  /** Where a fault that the route injects is written. */
  readonly fault?: Decider;
  /** The source's sidecar answers by itself. */
  readonly verdict?: BranchVerdict;
}

export function routeStep(asked: SidecarQuestion, walk: OutboundWalk): RouteOutcome {
  const { request } = asked;
  const isHttp =
    asked.gateway !== undefined || walk.virtualHost !== undefined || walk.route !== undefined;
  if (request === undefined || !isHttp) return tcpRoute(asked);
  const { route } = walk;
  if (route === undefined) return noRoute(asked, walk, request);
  const via: Via = { kind: "sidecar-http", action: route.action };
  if (route.name === "block_all") return unknownHost(asked, request);
  if (route.origin === undefined) {
    const detail =
      route.name === "default"
        ? straight(asked, request)
        : `the sidecar knows no Service called ${request.host}: any host is let through`;
    return { steps: [{ step: "route", outcome: "pass", by: [], detail }], by: [], via };
  }
  const { rules, misses, lacking } = rulesOf(asked, route.origin, request);
  const index = misses.findIndex(({ differences }) => differences.length === 0);
  const chosen = misses[index];
  const by = chosen?.by ?? (rules === undefined ? [] : [placeIn(rules, "spec.http")]);
  const before = misses.slice(0, Math.max(index, 0)).map(renderMiss);
  const skipped = before.length === 0 ? "" : `; not ${before.join("; not ")}`;
  const takes = `${placeInWords(by)} takes ${request.method} ${request.path}${skipped}${lacking}`;
  const fault = chosen === undefined ? {} : { fault: chosen.fault };
  const { action } = route;
  if (action.kind === "forward") {
    const mirrors = (action.mirrors ?? []).map(
      ({ cluster, percent }) => `; ${percent} % mirrored to ${cluster}`,
    );
    const limit = route.rateLimit && `; ${limitInWords(route.rateLimit)} from here`;
    const detail = `${takes}${limit ?? ""}${hedgeInWords(action.hedge)}${mirrors.join("")}`;
    return { steps: [{ step: "route", outcome: "pass", by, detail }], by, via, ...fault };
  }
  const what = action.kind === "redirect" ? "redirects" : "answers by itself";
  const detail = `${takes}, and ${what}: ${action.status}`;
  const { status } = action;
  return {
    steps: [{ step: "route", outcome: "pass", by, detail }],
    by,
    via,
    ...fault,
    verdict: { outcome: "answered", status, sentence: `${status}: ${detail}` },
  };
}

/** The mesh calls declared destinations only. */
function unknownHost(asked: SidecarQuestion, { host }: HttpRequest): RouteOutcome {
  const by = [onlyDeclared(asked)];
  const detail = `no Service and no ServiceEntry of the mesh is called ${host}, and only those may be called`;
  const seen = { kind: "status", status: 502 } as const;
  return {
    steps: [{ step: "route", outcome: "refuse", by, detail }],
    by,
    via: { kind: "sidecar-http" },
    verdict: refusal("route", seen, { by, detail }),
  };
}

/** What says that unknown destinations are refused. */
export function onlyDeclared(asked: SidecarQuestion): Decider {
  const path = "spec.outboundTrafficPolicy.mode";
  const scope = scopeFor(asked);
  return scope?.outboundMode === undefined
    ? { kind: "Network", name: "default", path }
    : { kind: "Sidecar", name: scope.key, path };
}

/** The Sidecar of the source's pod that does not admit the destination; undefined: none keeps it out. */
export function notAdmitting(asked: SidecarQuestion): Decider | undefined {
  const { service, entry, port } = asked.destination;
  const scope = scopeFor(asked);
  const of =
    entry?.service ??
    (service && {
      namespace: namespaceOf(service.object),
      host: serviceHost(namespaceOf(service.object), service.object.metadata.name),
    });
  const number = entry?.port.port ?? service?.port.port ?? port;
  if (scope === undefined || of === undefined) return undefined;
  if (scope.admits(of.namespace, of.host, number)) return undefined;
  return { kind: "Sidecar", name: scope.key, path: "spec.egress" };
}

function scopeFor({ world, source }: SidecarQuestion): SidecarScope | undefined {
  return scopeOf(world, namespaceOf(source), source.metadata.labels ?? {});
}

function hedgeInWords(hedge: HedgePolicy | undefined): string {
  if (hedge === undefined) return "";
  const when =
    hedge.kind === "delay" ? `${hedge.delayMs} ms` : `what ${hedge.percent} % of answers take`;
  const calls = hedge.includesGrpc === true ? ", gRPC too" : "";
  return `; sent to a second endpoint after ${when}${calls}`;
}

/** No VirtualService is about the Service, or none of its rules is for this caller and port. */
function straight(asked: SidecarQuestion, request: HttpRequest): string {
  const kind = asked.destination.entry?.service.kind ?? "Service";
  const found = rulesFor(hostRules(contextOf(asked)), hostOf(asked, request));
  if (found?.spec.http === undefined) {
    return `no VirtualService has routes for it: straight to the ${kind}`;
  }
  const { lacking } = rulesOf(asked, objectKey(found), request);
  return `${describe(found)} has no rule for this caller and port: straight to the ${kind}${lacking}`;
}

function hostOf({ destination }: SidecarQuestion, request: HttpRequest): string {
  const service = destination.service?.object;
  return (
    destination.entry?.service.host ??
    (service === undefined
      ? request.host
      : serviceHost(namespaceOf(service), service.metadata.name))
  );
}

function noRoute(asked: SidecarQuestion, walk: OutboundWalk, request: HttpRequest): RouteOutcome {
  const host = hostOf(asked, request);
  const found =
    asked.gateway === undefined
      ? rulesFor(hostRules(contextOf(asked)), host)
      : boundRules(asked.world, asked.gateway, host);
  const { rules, misses, lacking } = rulesOf(asked, found && objectKey(found), request);
  const by = rules === undefined ? [] : [placeIn(rules, "spec.http")];
  const detail =
    asked.gateway !== undefined && found === undefined
      ? `no VirtualService that is bound to Gateway ${asked.gateway} has routes for ${host}`
      : `no rule for ${walk.virtualHost ?? host} takes ${request.method} ${request.path}${lacking}`;
  const nearest = nearestRoute(misses);
  const seen = { kind: "status", status: 404, flag: "NR" } as const;
  return {
    steps: [{ step: "route", outcome: "refuse", by, detail }],
    by,
    via: { kind: "sidecar-http" },
    verdict: refusal("route", seen, { by, detail, nearest }),
  };
}

/** The one that names the host most specifically, of several the oldest, among those that are bound to a Gateway. */
function boundRules(world: World, gateway: string, host: string): VirtualService | undefined {
  const bound = objectsOf<VirtualService>(world, "VirtualService").filter(({ spec, ...rules }) =>
    (spec.gateways ?? []).some((name) => gatewayNamed(name, namespaceOf(rules)) === gateway),
  );
  const named = bound.toSorted(byAge).flatMap((rules) =>
    (rules.spec.hosts ?? []).map((one) => ({
      host: resolveHost(one, namespaceOf(rules)),
      rules,
    })),
  );
  return mostSpecific(named, (one) => one.host, host)?.rules;
}

/** Connections that are not HTTP: a TCP rule, or none. */
function tcpRoute(asked: SidecarQuestion): RouteOutcome {
  const via: Via = { kind: "sidecar-tcp" };
  const { world, source, destination } = asked;
  const service = destination.service?.object;
  const entry = destination.entry?.service;
  const isUnknown = service === undefined && entry === undefined;
  if (isUnknown || notAdmitting(asked) !== undefined) return { steps: [], by: [], via };
  const namespace = namespaceOf(source);
  const host =
    entry?.host ?? serviceHost(namespaceOf(service ?? source), service?.metadata.name ?? "");
  const context = contextOf(asked);
  const rules = rulesFor(hostRules(context), host);
  const port = serviceOfHost(world, host, namespace)?.ports.find(
    (one) => one.port === destination.port,
  );
  const index =
    port === undefined || rules === undefined
      ? -1
      : (rules.spec.tcp ?? []).findIndex((route) =>
          tcpApplies(context, route, { rules, listenPort: port.port }),
        );
  const isMeant = entry !== undefined || destination.addresses[0] === service?.spec.clusterIP;
  if (rules === undefined || index < 0 || !isMeant) {
    const detail = `no VirtualService has TCP routes for it: straight to the ${entry?.kind ?? "Service"}`;
    return { steps: [{ step: "route", outcome: "pass", by: [], detail }], by: [], via };
  }
  const by = [placeIn(rules, `spec.tcp[${index}]`)];
  const detail = `spec.tcp[${index}] takes the connection`;
  return { steps: [{ step: "route", outcome: "pass", by, detail }], by, via };
}

function contextOf({ world, source }: SidecarQuestion): ProxyContext {
  return new ProxyContext(world, namespaceOf(source), source.metadata.labels ?? {});
}

function rulesOf(
  asked: SidecarQuestion,
  name: string | undefined,
  request: HttpRequest,
): {
  readonly rules: VirtualService | undefined;
  readonly misses: readonly RuleMiss[];
  /** What else would have been rules, in words; empty where nothing. */
  readonly lacking: string;
} {
  const { world, destination, gateway } = asked;
  const all = objectsOf<VirtualService>(world, "VirtualService");
  const rules = all.find((one) => objectKey(one) === name);
  if (rules === undefined) return { rules, misses: [], lacking: "" };
  const proxy = contextOf(asked);
  const context = gateway === undefined ? proxy : proxy.at(gateway);
  const subject: Subject = {
    method: request.method,
    ...pathAndQuery(request.path),
    host: request.host,
    headers: request.headers,
    destinationPort: destination.port,
  };
  return {
    rules,
    misses: ruleMisses(context, rules, subject),
    lacking: leftOut(context, rules)
      .map((one) => `; ${one}`)
      .join(""),
  };
}

function renderMiss({ by, differences }: RuleMiss): string {
  const [first] = differences;
  return first === undefined ? placeInWords(by) : renderDifference(first);
}

/** `spec.http[0]`, or `spec.http[0] by spec.http[1] of VirtualService team/pages`. */
function placeInWords([first, delegate]: readonly Decider[]): string {
  const path = first?.path ?? "spec.http";
  return delegate === undefined
    ? path
    : `${path} by ${delegate.path} of ${delegate.kind} ${delegate.name}`;
}
