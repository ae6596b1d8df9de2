/**
 * What a gateway does with a request of a client outside: the server of a Gateway that takes it, its route, clusters,
 * endpoints. The configuration that the gateway has is made and walked.
 *
 * The question names a host that clients ask for and the port that they come to. Where no server takes the host, it is
 * refused as a client sees it: 404, or a TLS connection that is closed.
 */

import type { Gateway, GatewayServer } from "../../api/istio/networking.ts";
import type { Pod } from "../../api/k8s/core.ts";
import { MeshError } from "../../base/error.ts";
import { serviceHost } from "../../model/names.ts";
import type { ProxyConfig } from "../../model/proxy-config.ts";
import { compileProxy } from "../mesh/compile-proxy.ts";
import { hostMatches } from "../mesh/host.ts";
import { portsBehindServices } from "../mesh/inbound.ts";
import { hostOfServerName, meshAlpn, outboundCluster } from "../mesh/names.ts";
import { type OutboundWalk, walkGateway } from "../mesh/walk.ts";
import { matchesLabels } from "../registry/selector.ts";
import { addressOf, namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import { clusterPart } from "./cluster-part.ts";
import type { Destination } from "./destination.ts";
import type { Decider, HttpRequest, Step } from "./explanation.ts";
import { withFault } from "./fault-parts.ts";
import { sidecarOf } from "./pods.ts";
import { routeStep } from "./route-step.ts";
import type { Via } from "./seen.ts";
import { refusal } from "./verdict.ts";
import type { Part, SidecarQuestion, Way } from "./way.ts";

/** A host of a server, and the port of the Service in front by which clients come. */
export interface Entrance {
  readonly host: string;
  readonly port: number;
  readonly gateway: Gateway;
  readonly server: GatewayServer;
  /** `spec.servers[0]`. */
  readonly path: string;
}

/**
 * The server of one of the pod's Gateways that takes the host, HTTP before TLS where no port is asked for. Undefined:
 * none does; throws `explain.port` where one does, at other ports.
 */
export function entranceFor(
  world: World,
  gateway: Pod,
  host: string,
  port: number | undefined,
): Entrance | undefined {
  const all = objectsOf<Gateway>(world, "Gateway")
    .filter(({ spec }) => matchesLabels(gateway.metadata.labels, spec.selector ?? {}))
    .flatMap((object) =>
      (object.spec.servers ?? []).map((server, index) => ({
        gateway: object,
        server,
        path: `spec.servers[${index}]`,
      })),
    )
    .filter(({ server }) => isFor(server, host))
    .map((found) => ({ ...found, host, port: found.server.port.number }));
  const [first] = all.toSorted((a, b) => Number(isTls(a.server)) - Number(isTls(b.server)));
  if (port === undefined || first === undefined) return first;
  const targets = targetsOf(world, gateway);
  const fits = (number: number): boolean => number === port || targets.get(number) === port;
  const found = all.find((one) => fits(one.port));
  if (found !== undefined) return found;
  const there = [...new Set(all.map((one) => one.port))].sort((a, b) => a - b).join(", ");
  const message = `gateway ${objectKey(gateway)} does not take ${host} on port ${port}: it does on ${there}`;
  throw new MeshError("explain.port", message, { fault: "user" });
}

/** Where mesh TLS passes, clients ask by the name of a cluster: `outbound_.80_.v1_.cart.shop.svc.cluster.local`. */
function isFor(server: GatewayServer, host: string): boolean {
  const name = passesMeshTls(server) ? hostOfServerName(host) : host;
  return name !== undefined && server.hosts.some((written) => hostMatches(hostOf(written), name));
}

function passesMeshTls({ tls }: GatewayServer): boolean {
  return tls?.mode === "AUTO_PASSTHROUGH";
}

function hostOf(written: string): string {
  return written.slice(written.indexOf("/") + 1);
}

/** Ports of the pod by those of the Services in front. */
function targetsOf(world: World, gateway: Pod): ReadonlyMap<number, number> {
  const behind = portsBehindServices(world, gateway, addressOf(gateway) ?? "");
  return new Map(behind.map(({ port, number }) => [port.port, number]));
}

function isTls({ port: { protocol } }: GatewayServer): boolean {
  return ["HTTPS", "TLS"].includes(protocol.toUpperCase());
}

/** Whether requests are read: TLS that is not opened is bytes. */
export function readsHttp({ server }: Entrance): boolean {
  const protocol = server.port.protocol.toUpperCase();
  return (
    ["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS"].includes(protocol) &&
    server.tls?.mode !== "PASSTHROUGH" &&
    !passesMeshTls(server)
  );
}

export function gatewayWay(
  world: World,
  source: Pod,
  entrance: Entrance,
  request: HttpRequest | undefined,
): Way {
  const { value: config, diagnostics: notes } = compileProxy(world, sidecarOf(source));
  const { host, port } = entrance;
  const destination = {
    host,
    addresses: [],
    port,
    transport: "TCP" as const,
    isName: false,
    by: [],
    detail: "",
  };
  const gateway = objectKey(entrance.gateway);
  const asked: SidecarQuestion = { world, source, destination, request, config, notes, gateway };
  const walk = walkServer(config, targetsOf(world, source).get(port) ?? port, entrance, request);
  const listener = listenerStep(entrance, walk);
  if (walk === undefined) {
    const seen = { kind: "connection closed" } as const;
    const verdict = refusal("listener", seen, listener);
    return {
      steps: [listener],
      parts: [{ share: 1, steps: [], end: { kind: "verdict", verdict } }],
    };
  }
  const route = routeStep(asked, walk);
  const steps = [listener, ...route.steps];
  if (route.verdict !== undefined) {
    const end = { kind: "verdict" as const, verdict: route.verdict };
    return { steps, parts: withFault(walk.route, route.fault, [{ share: 1, steps: [], end }]) };
  }
  const parts = walk.destinations.map(
    (to): Part =>
      clusterPart(
        asked,
        walk,
        to,
        passesMeshTls(entrance.server) ? { kind: "passed-tls" } : route.via,
        route.by,
      ),
  );
  return { steps, parts: withFault(walk.route, route.fault, parts) };
}

/** What a gateway's route to the Service comes to, whichever that may be: clusters are every route's. */
export function gatewayToService(
  world: World,
  source: Pod,
  destination: Destination,
  request: HttpRequest | undefined,
): Way {
  const { service } = destination;
  if (service === undefined) {
    const message = `gateway ${objectKey(source)} takes no requests for "${destination.host}", and calls Services only`;
    throw new MeshError("explain.destination", message, { fault: "user" });
  }
  const { value: config, diagnostics: notes } = compileProxy(world, sidecarOf(source));
  const host = serviceHost(namespaceOf(service.object), service.object.metadata.name);
  const cluster = outboundCluster(service.port.port, undefined, host);
  const endpoints = config.endpoints.find((one) => one.cluster === cluster)?.endpoints ?? [];
  const asked: SidecarQuestion = { world, source, destination, request, config, notes };
  const to = { cluster, share: 1, endpoints };
  const walk: OutboundWalk = { listener: "", chain: "", destinations: [to] };
  const via: Via = { kind: request === undefined ? "sidecar-tcp" : "sidecar-http" };
  return { steps: [], parts: [clusterPart(asked, walk, to, via, [])] };
}

/** Undefined: the gateway has no listener or no chain for it. */
function walkServer(
  config: ProxyConfig,
  port: number,
  entrance: Entrance,
  request: HttpRequest | undefined,
): OutboundWalk | undefined {
  if (!config.listeners.some(({ name }) => name === `0.0.0.0_${port}`)) return undefined;
  const offered = passesMeshTls(entrance.server) ? { alpn: meshAlpn.any } : {};
  const name = isTls(entrance.server) ? { serverName: entrance.host, ...offered } : {};
  try {
    return walkGateway(config, { port, ...name, ...(request && { http: request }) });
  } catch {
    return undefined; // no chain takes the connection
  }
}

function listenerStep(
  { gateway, server, path, host, port }: Entrance,
  walk: OutboundWalk | undefined,
): Step {
  const by: readonly Decider[] = [{ kind: "Gateway", name: objectKey(gateway), path }];
  const { protocol } = server.port;
  const what = `port ${port} speaks ${protocol} for ${host}`;
  if (walk !== undefined) return { step: "listener", outcome: "pass", by, detail: what };
  const detail = `${what}, and the gateway closes connections: nothing is bound to it, or its TLS cannot be had`;
  return { step: "listener", outcome: "refuse", by, detail };
}
