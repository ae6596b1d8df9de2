/**
 * The inbound listener: what becomes of connections to the pod.
 *
 * Each port of the pod that some Service names has chains of its own, all other ports share a set; which chains there
 * are follows from the mode (mesh TLS, plain, both) and the protocol:
 *
 * | mode       | mesh TLS     | plain        | an application's own TLS |
 * | STRICT     | terminated   | closed       | closed                   |
 * | PERMISSIVE | terminated   | taken        | passed through           |
 * | DISABLE    | –            | taken        | passed through           |
 *
 * Where the protocol is detected, every TLS connection is taken for the mesh's: inside it the protocol is detected
 * again, which leaves nothing to tell an application's own TLS by.
 */

import type { Pod, Service } from "../../api/k8s/core.ts";
import { ports, serviceHost } from "../../model/names.ts";
import type {
  Cluster,
  DownstreamTls,
  FilterChain,
  FilterChainMatch,
  Listener,
  NetworkFilter,
  ProxyNode,
  RateLimit,
} from "../../model/proxy-config.ts";
import { matchesLabels } from "../registry/selector.ts";
import { servicePortsOf } from "../registry/services.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectsOf, type World } from "../registry/world.ts";
import { endpointSlicesFor } from "../services/endpoint-slices.ts";
import { authorizationOf, type WorkloadAuthorization } from "./authorization.ts";
import { admittingChecks } from "./check-admission.ts";
import type { ProxyContext } from "./context.ts";
import { everyRequest } from "./http-match.ts";
import { memoized } from "./memo.ts";
import {
  allMeshAlpn,
  blackHoleCluster,
  certificateSecret,
  inboundCluster,
  inboundPassthroughCluster,
  meshAlpn,
  meshBytesAlpn,
  meshHttpAlpn,
  validationSecret,
} from "./names.ts";
import { type EffectiveMode, modeOfPort, modesOf } from "./peer-authentication.ts";
import {
  clusterProtocol,
  httpDetected,
  isHttp,
  type PortProtocol,
  protocolOf,
} from "./protocol.ts";
import { inboundRateLimit } from "./rate-limit.ts";
import { inboundRetry } from "./retry.ts";

export interface Inbound {
  readonly listener: Listener;
  readonly clusters: readonly Cluster[];
}

export function inbound(context: ProxyContext, pod: Pod, proxy: ProxyNode): Inbound {
  const { world, namespace, labels } = context;
  const modes = modesOf(world, namespace, labels);
  const policies = authorizationOf(world, namespace, labels);
  for (const note of policies.notes) context.note(note);
  const behind = portsBehindServices(world, pod, proxy.address);
  const authorization = { ...policies, http: admittingChecks(world, behind, policies.http) };
  const known = servedPorts(context, behind);
  for (const port of modes.ports.keys()) {
    if (!known.has(port)) known.set(port, { protocol: "detect" });
  }
  const served = [...known].sort(([a], [b]) => a - b);
  const chains = served.flatMap(([port, { protocol, rateLimit }]) =>
    portChains({
      port,
      protocol,
      mode: modeOfPort(modes, port),
      authorization,
      ...(rateLimit === undefined ? {} : { rateLimit }),
    }),
  );
  const others = portChains({ protocol: "detect", mode: modes.mode, authorization });
  return {
    listener: {
      name: "virtualInbound",
      direction: "inbound",
      address: "0.0.0.0",
      port: ports.inbound,
      bindToPort: true,
      useOriginalDestination: true,
      filterChains: [trafficLoop, ...chains, ...others],
    },
    clusters: [
      ...served.map(([port, { protocol, service }]) =>
        localCluster(inboundCluster(port), protocol, service),
      ),
      localCluster(inboundPassthroughCluster, "detect"),
    ],
  };
}

/** A connection to the listener itself would be handed to it for ever. */
const trafficLoop: FilterChain = {
  name: "virtualInbound-blackhole",
  match: { destinationPort: ports.inbound },
  rbac: [],
  filter: {
    kind: "tcp",
    statPrefix: blackHoleCluster,
    clusters: [{ cluster: blackHoleCluster, weight: 100 }],
  },
};

interface ServedPort {
  readonly protocol: PortProtocol;
  /** The first Service that names the port, for metrics. */
  readonly service?: NonNullable<Cluster["service"]>;
  /** That Service's. */
  readonly rateLimit?: RateLimit;
}

/** Ports of the pod behind some Service, with the protocol that the Service says. */
function servedPorts(
  context: ProxyContext,
  behind: ReturnType<typeof portsBehindServices>,
): Map<number, ServedPort> {
  const served = new Map<number, ServedPort>();
  for (const { service, port, number } of behind) {
    const protocol = protocolOf(port);
    const before = served.get(number);
    const { name } = service.metadata;
    const namespace = namespaceOf(service);
    const host = serviceHost(namespace, name);
    if (before === undefined) {
      const limit = inboundRateLimit(context.world, service, host, port.port);
      served.set(number, {
        protocol,
        service: { namespace, name, host, port: port.port },
        ...(limit === undefined ? {} : { rateLimit: limit }),
      });
    } else if (before.protocol !== protocol) {
      context.note({
        severity: "warning",
        code: "HEDDLE0105",
        where: `Service ${namespace}/${name} spec.ports[${port.name}]`,
        message: `port ${number} of the pods is ${before.protocol} for Service ${namespace}/${before.service?.name} and ${protocol} here: the first holds`,
      });
    }
  }
  return served;
}

const byNamespace = memoized((services: readonly Service[]) => Map.groupBy(services, namespaceOf));

/** Ports of the pod that Services lead to, each with the Service's own port. */
export function portsBehindServices(
  world: World,
  pod: Pod,
  address: string,
): readonly {
  readonly service: Service;
  readonly port: ReturnType<typeof servicePortsOf>[number];
  readonly number: number;
}[] {
  // As it will be an endpoint, also before it is one: the sidecar starts before the application does.
  const asEndpoint: Pod = { ...pod, status: { ...pod.status, phase: "Running", podIP: address } };
  const services = byNamespace(objectsOf<Service>(world, "Service")).get(namespaceOf(pod)) ?? [];
  return services
    .filter(({ spec }) => matchesLabels(pod.metadata.labels, spec.selector ?? {}))
    .flatMap((service) =>
      endpointSlicesFor(service, [asEndpoint]).flatMap((slice) =>
        slice.ports
          .filter((port) => (port.protocol ?? "TCP") === "TCP")
          .flatMap((target) => {
            const port = servicePortsOf(service).find(({ name }) => name === (target.name ?? ""));
            if (port === undefined) return [];
            return [{ service, port, number: target.port }];
          }),
      ),
    );
}

interface PortSettings {
  /** Undefined: all ports that have no chains of their own. */
  readonly port?: number;
  readonly protocol: PortProtocol;
  readonly mode: EffectiveMode;
  readonly authorization: WorkloadAuthorization;
  readonly rateLimit?: RateLimit;
}

function portChains(settings: PortSettings): readonly FilterChain[] {
  const { protocol, mode } = settings;
  const tls =
    protocol === "tcp"
      ? meshTls([meshAlpn.any])
      : meshTls([meshAlpn.http2, meshAlpn.http, meshAlpn.any]);
  const takesTls = mode !== "DISABLE";
  const takesPlain = mode !== "STRICT";
  if (protocol === "detect") {
    const mesh = takesPlain ? toldByOffer : bothProtocols;
    return [
      ...(takesTls ? mesh(settings, "tls", tls) : []),
      ...(takesPlain ? [...bothProtocols(settings, "raw"), passThrough(settings)] : []),
    ];
  }
  const filtered = isHttp(protocol) ? httpChain : tcpChain;
  // Under STRICT all TLS is the mesh's; beside plain connections it is told by what it offers.
  const meshMatch: FilterChainMatch = takesPlain
    ? { transport: "tls", applicationProtocols: allMeshAlpn }
    : { transport: "tls" };
  return [
    ...(takesTls ? [filtered(settings, meshMatch, tls)] : []),
    ...(takesPlain ? [filtered(settings, { transport: "raw" }), passThrough(settings)] : []),
  ];
}

/** Beside TLS of the application's own the mesh's is told by what it offers, which says what is in it, too. */
function toldByOffer(
  settings: PortSettings,
  transport: "tls",
  tls: DownstreamTls,
): readonly FilterChain[] {
  return [
    httpChain(settings, { transport, applicationProtocols: meshHttpAlpn }, tls),
    tcpChain(settings, { transport, applicationProtocols: meshBytesAlpn }, tls),
  ];
}

function bothProtocols(
  settings: PortSettings,
  transport: "tls" | "raw",
  tls?: DownstreamTls,
): readonly FilterChain[] {
  const negotiated = transport === "tls" ? [meshAlpn.http, meshAlpn.http2] : [];
  const protocols = [...httpDetected, ...negotiated];
  return [
    httpChain(settings, { transport, applicationProtocols: protocols }, tls),
    tcpChain(settings, { transport }, tls),
  ];
}

function httpChain(
  settings: PortSettings,
  match: FilterChainMatch,
  tls?: DownstreamTls,
): FilterChain {
  return {
    ...base(settings, match, tls, "http"),
    rbac: [],
    filter: httpFilter(settings, settings.authorization.http),
  };
}

function tcpChain(
  settings: PortSettings,
  match: FilterChainMatch,
  tls?: DownstreamTls,
): FilterChain {
  const cluster = clusterName(settings);
  return {
    ...base(settings, match, tls, "tcp"),
    rbac: settings.authorization.tcp,
    filter: { kind: "tcp", statPrefix: cluster, clusters: [{ cluster, weight: 100 }] },
  };
}

/** TLS of the application's own, unopened. */
function passThrough(settings: PortSettings): FilterChain {
  const chain = tcpChain(settings, { transport: "tls" });
  return { ...chain, name: `${chain.name}-passthrough` };
}

function base(
  { port }: PortSettings,
  match: FilterChainMatch,
  tls: DownstreamTls | undefined,
  protocol: "http" | "tcp",
): Pick<FilterChain, "name" | "match" | "tls"> {
  const place = port === undefined ? "virtualInbound-catchall" : `0.0.0.0_${port}`;
  return {
    name: [place, tls === undefined ? "plain" : "mesh", protocol].join("-"),
    match: { ...(port === undefined ? {} : { destinationPort: port }), ...match },
    ...(tls === undefined ? {} : { tls }),
  };
}

function httpFilter(
  settings: PortSettings,
  rbac: WorkloadAuthorization["http"],
): Extract<NetworkFilter, { kind: "http" }> {
  const cluster = clusterName(settings);
  const forward = {
    kind: "forward" as const,
    clusters: [{ cluster, weight: 100 }],
    timeoutMs: 0,
    retry: inboundRetry,
  };
  return {
    kind: "http",
    statPrefix: `inbound_0.0.0.0_${settings.port ?? "catchall"}`,
    routes: {
      kind: "inline",
      config: {
        name: cluster,
        virtualHosts: [
          {
            name: `inbound|http|${settings.port ?? 0}`,
            domains: ["*"],
            routes: [{ name: "default", match: everyRequest, action: forward }],
          },
        ],
      },
    },
    ...(settings.protocol === "grpc-web" ? { translatesGrpcWeb: true } : {}),
    rbac,
    ...(settings.rateLimit === undefined ? {} : { rateLimit: settings.rateLimit }),
  };
}

function clusterName({ port }: PortSettings): string {
  return port === undefined ? inboundPassthroughCluster : inboundCluster(port);
}

function meshTls(alpn: readonly string[]): DownstreamTls {
  return {
    requireClientCertificate: true,
    alpn,
    certificate: certificateSecret,
    validation: validationSecret,
    clients: { kind: "mesh" },
  };
}

/** The application itself, at the address and port that the client meant. */
function localCluster(name: string, protocol: PortProtocol, service?: Cluster["service"]): Cluster {
  return {
    name,
    direction: "inbound",
    discovery: { kind: "original-destination" },
    connectTimeoutMs: 10_000,
    balancer: { kind: "round-robin" },
    circuitBreakers: {},
    ...clusterProtocol(protocol),
    ...(service === undefined ? {} : { service }),
  };
}
