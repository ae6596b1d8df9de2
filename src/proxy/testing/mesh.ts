/**
 * Pieces of configuration for tests and benches, in the shape that the control plane compiles: an outbound sidecar that
 * routes one service's host to its endpoints, and an inbound one in front of an application.
 */

import type { Log } from "../../base/log.ts";
import type {
  Cluster,
  DownstreamTls,
  Endpoint,
  FilterChain,
  Listener,
  ProxyConfig,
  ProxyNode,
  Rbac,
  Route,
  RouteAction,
  VirtualHost,
  WorkloadLabels,
} from "../../model/proxy-config.ts";
import type { NameServerAddress } from "../../rpc/dns-query.ts";
import { createSidecar } from "../create-sidecar.ts";
import type { MeshTls, ProxyLimits } from "../environment.ts";
import type { Destination } from "../listen/runtime.ts";
import type { Sidecar } from "../sidecar.ts";

type HttpFilter = Extract<FilterChain["filter"], { kind: "http" }>;

export function labels(namespace: string, workload: string, version = "v1"): WorkloadLabels {
  return {
    namespace,
    workload: `${workload}-${version}`,
    app: workload,
    version,
    serviceAccount: workload,
  };
}

/** Its address is no endpoint's, although everything here listens on loopback: endpoints of others speak TLS. */
export function node(workload: WorkloadLabels, address = "192.0.2.10"): ProxyNode {
  const pod = `${workload.workload}-abcde`;
  return {
    id: `sidecar~${address}~${pod}.${workload.namespace}~${workload.namespace}.svc.cluster.local`,
    namespace: workload.namespace,
    pod,
    address,
    workload,
  };
}

export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLog,
};

export interface TestSidecarOptions {
  readonly workload?: WorkloadLabels;
  /** The pod's address. */
  readonly address?: string;
  /** Where captured connections wanted to go. */
  readonly destination: () => Destination | undefined;
  readonly limits?: Partial<ProxyLimits>;
  readonly accessLog?: (line: string) => void;
  readonly log?: Log;
  readonly random?: () => number;
  /** Asked for names of endpoints. */
  readonly nameServer?: NameServerAddress;
  readonly isHungUp?: (descriptor: number) => boolean;
  readonly meshTls?: MeshTls;
  /** Since the epoch; the machine's unless given. */
  readonly epochMs?: () => number;
  /** What timeouts go by; the machine's unless given. A test that stands still itself must not miss one. */
  readonly now?: () => number;
}

export function testSidecar(options: TestSidecarOptions): Sidecar {
  const { limits, accessLog, nameServer, meshTls, now } = options;
  return createSidecar(
    {
      originalDestination: options.destination,
      isHungUp: options.isHungUp ?? (() => false),
      log: options.log ?? silentLog,
      clock: { now: options.epochMs ?? Date.now, sleep: () => Promise.resolve() },
      random: options.random ?? Math.random,
      limits: { drainMs: 100, ...limits },
      ...(accessLog === undefined ? {} : { accessLog }),
      ...(nameServer === undefined ? {} : { nameServer }),
      ...(meshTls === undefined ? {} : { meshTls }),
      ...(now === undefined ? {} : { now }),
    },
    {
      proxy: node(options.workload ?? labels("shop", "web"), options.address),
      trustDomain: "cluster.local",
    },
  );
}

/** A cluster of endpoints, or of the original destination. */
export function cluster(name: string, more: Partial<Cluster> = {}): Cluster {
  return {
    name,
    direction: "outbound",
    discovery: { kind: "eds" },
    connectTimeoutMs: 10_000, // Istio's; shorter ones fail tests on a busy machine
    balancer: { kind: "least-request" },
    circuitBreakers: {},
    ...more,
  };
}

export const passthrough: Cluster = cluster("PassthroughCluster", {
  discovery: { kind: "original-destination" },
});

export function endpoint(port: number, more: Partial<Endpoint> = {}): Endpoint {
  return { address: "127.0.0.1", port, weight: 1, tls: false, ...more };
}

export function forward(
  to: string,
  more: Partial<Extract<RouteAction, { kind: "forward" }>> = {},
): RouteAction {
  return { kind: "forward", clusters: [{ cluster: to, weight: 1 }], timeoutMs: 0, ...more };
}

export function route(action: RouteAction, more: Partial<Route> = {}): Route {
  return {
    name: "default",
    match: { path: { kind: "prefix", value: "/" }, headers: [], queryParameters: [] },
    action,
    ...more,
  };
}

export function virtualHost(domains: readonly string[], routes: readonly Route[]): VirtualHost {
  return { name: domains[0] ?? "", domains, routes };
}

/** `virtualOutbound` with one HTTP listener behind it, for any address on port 80. */
export function outbound(
  virtualHosts: readonly VirtualHost[],
  rbac: readonly Rbac[] = [],
  more: Pick<HttpFilter, "accessLog" | "rateLimit" | "tracing" | "translatesGrpcWeb"> = {},
): Pick<ProxyConfig, "listeners" | "routes"> {
  const passthroughChain: FilterChain = {
    name: "virtualOutbound-passthrough",
    match: {},
    rbac: [],
    filter: {
      kind: "tcp",
      statPrefix: "PassthroughCluster",
      clusters: [{ cluster: "PassthroughCluster", weight: 1 }],
    },
  };
  return {
    listeners: [
      {
        name: "0.0.0.0_80",
        direction: "outbound",
        address: "0.0.0.0",
        port: 80,
        bindToPort: false,
        useOriginalDestination: false,
        filterChains: [
          {
            name: "http",
            match: { transport: "raw", applicationProtocols: ["http/1.1", "h2c"] },
            rbac: [],
            filter: {
              kind: "http",
              statPrefix: "outbound_0.0.0.0_80",
              routes: { kind: "rds", name: "80" },
              rbac,
              ...more,
            },
          },
        ],
        defaultFilterChain: passthroughChain,
      },
      virtual("virtualOutbound", "outbound", [], passthroughChain),
    ],
    routes: [{ name: "80", virtualHosts }],
  };
}

/** A bound listener on a port of the system's choice. */
export function virtual(
  name: string,
  direction: Listener["direction"],
  filterChains: readonly FilterChain[],
  defaultFilterChain?: FilterChain,
): Listener {
  return {
    name,
    direction,
    address: "127.0.0.1",
    port: 0,
    bindToPort: true,
    useOriginalDestination: true,
    filterChains,
    ...(defaultFilterChain === undefined ? {} : { defaultFilterChain }),
  };
}

export const downstreamTls: DownstreamTls = {
  requireClientCertificate: true,
  alpn: ["h2", "http/1.1"],
  certificate: "default",
  validation: "ROOTCA",
  clients: { kind: "mesh" },
};

/** `virtualInbound` in front of an application on `port`: HTTP in mutual TLS and, where permissive, in the clear. */
export function inbound(
  port: number,
  options: {
    readonly rbac?: readonly Rbac[];
    readonly isStrict?: boolean;
    readonly isTcp?: boolean;
    readonly protocol?: NonNullable<Cluster["protocol"]>;
  } = {},
): Pick<ProxyConfig, "listeners" | "clusters"> {
  const name = `inbound|${port}||`;
  const { rbac = [], isStrict = false, isTcp = false, protocol } = options;
  const filter: FilterChain["filter"] = isTcp
    ? { kind: "tcp", statPrefix: name, clusters: [{ cluster: name, weight: 1 }] }
    : {
        kind: "http",
        statPrefix: name,
        rbac,
        routes: {
          kind: "inline",
          config: { name, virtualHosts: [virtualHost(["*"], [route(forward(name))])] },
        },
      };
  const tls: FilterChain = {
    name: `${name}-tls`,
    match: { destinationPort: port, transport: "tls" },
    tls: { ...downstreamTls, alpn: isTcp ? ["heddle"] : downstreamTls.alpn },
    rbac: isTcp ? rbac : [],
    filter,
  };
  const plain: FilterChain = {
    name: `${name}-plain`,
    match: { destinationPort: port, transport: "raw" },
    rbac: isTcp ? rbac : [],
    filter,
  };
  return {
    listeners: [virtual("virtualInbound", "inbound", isStrict ? [tls] : [tls, plain])],
    clusters: [
      cluster(name, {
        direction: "inbound",
        discovery: { kind: "original-destination" },
        ...(protocol === undefined ? {} : { protocol }),
        service: { namespace: "shop", name: "cart", host: "cart.shop.svc.cluster.local", port: 80 },
      }),
    ],
  };
}

export function upstreamTls(...identities: readonly string[]): NonNullable<Cluster["tls"]> {
  return {
    certificate: "default",
    validation: "ROOTCA",
    sni: "outbound_.80_._.cart.shop.svc.cluster.local",
    alpn: ["h2", "http/1.1"],
    subjectAltNames: identities,
  };
}
