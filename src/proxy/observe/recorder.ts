/**
 * Istio's metrics from exchanges and tunnels, and beside them what agents read (edges.ts).
 *
 * Series are bound where their labels live: outbound with the host (labels of the endpoint), inbound with the peer
 * (what the calling sidecar said of itself), so that a request finds its series in two steps, without building a label.
 * Only a new combination of status and flag binds anew.
 */

import type { Direction, WorkloadLabels } from "../../model/proxy-config.ts";
import { type IstioMetrics, istioMetrics } from "../../telemetry/istio.ts";
import type { Counter, Histogram, Labels } from "../../telemetry/registry.ts";
import type { Environment } from "../environment.ts";
import type { Peer } from "../peer.ts";
import { splitPrincipal } from "../peer-introduction.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { ResponseFlag } from "../stack/outcome.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import type { Host } from "../upstream/host.ts";
import { type EdgeEnds, Edges, type EdgeTally } from "./edges.ts";
import { Servings } from "./serving.ts";
import { type Ends, Taps } from "./tap.ts";

const unknown = "unknown";
const clusterId = "Kubernetes"; // Istio's name for the only cluster there is

interface RequestSeries {
  readonly requests: Counter;
  readonly duration: Histogram;
  readonly requestBytes: Histogram;
  readonly responseBytes: Histogram;
}

interface TcpSeries {
  readonly sent: Counter;
  readonly received: Counter;
  readonly opened: Counter;
  readonly closed: Counter;
  /** What the agent reads; undefined where the other end counts it. */
  readonly edge: EdgeTally | undefined;
}

/** Everything bound for one pair of workloads. */
class Bound {
  readonly labels: Labels;
  /** Undefined where the other end counts the edge. */
  readonly ends: EdgeEnds | undefined;
  edge: EdgeTally | undefined = undefined;
  grpcEdge: EdgeTally | undefined = undefined;
  /** By status, for requests without a flag: nearly all of them. */
  readonly plain: (RequestSeries | undefined)[] = [];
  /** Calls of gRPC that went well. */
  grpcOk: RequestSeries | undefined = undefined;
  readonly flagged = new Map<string, RequestSeries>();
  tcp: TcpSeries | undefined = undefined;

  constructor(labels: Labels, ends?: EdgeEnds) {
    this.labels = labels;
    this.ends = ends;
  }
}

export class Recorder {
  readonly edges: Edges = new Edges();
  readonly servings: Servings;
  readonly taps: Taps;
  readonly #environment: Environment;
  readonly #metrics: IstioMetrics;
  readonly #self: WorkloadLabels;
  readonly #selfPrincipal: string;
  readonly #lost = new Map<Direction, Bound>();

  constructor(environment: Environment) {
    this.#environment = environment;
    this.#metrics = istioMetrics(environment.metrics);
    const { namespace, pod } = environment.node;
    this.servings = new Servings(`${namespace}/${pod}`, environment.now);
    this.taps = new Taps(environment);
    this.#self = environment.node.workload;
    this.#selfPrincipal = principalOf(this.#self, environment.trustDomain);
  }

  /** The function that counts finished exchanges of chains of this direction. */
  forDirection(direction: Direction): (exchange: Exchange) => void {
    const bind =
      direction === "outbound"
        ? (exchange: Exchange) =>
            // A fault ends a request before its destination was chosen; it was for a service all the same.
            this.#outbound(exchange.cluster ?? exchange.route?.heaviest, exchange.host)
        : (exchange: Exchange) => this.#inbound(exchange.cluster, exchange.peer);
    const { taps } = this;
    return (exchange) => {
      const bound = bind(exchange);
      const series = this.#requestSeries(bound, exchange);
      const durationMs = exchange.endedAt - exchange.startedAt;
      series.requests.add(1);
      series.duration.observe(durationMs);
      series.requestBytes.observe(exchange.requestBytes);
      series.responseBytes.observe(exchange.responseBytes);
      this.#edge(bound, exchange.isGrpc)?.request(exchange, durationMs);
      if (taps.isOn) taps.tell(exchange, direction, endsOf(bound));
      const { host, status } = exchange;
      if (host !== undefined && (status >= 500 || status === 0)) host.health.lostRequests++;
    };
  }

  tcp(
    direction: Direction,
    cluster: ClusterRuntime,
    host: Host | undefined,
    peer: Peer,
  ): TcpSeries {
    const bound =
      direction === "outbound" ? this.#outbound(cluster, host) : this.#inbound(cluster, peer);
    bound.tcp ??= this.#bindTcp(bound);
    return bound.tcp;
  }

  /** A connection that reached nobody, for the reason of the flag: to Istio it was opened and closed all the same. */
  tcpLost(direction: Direction, cluster: ClusterRuntime, peer: Peer, flag: ResponseFlag): void {
    const bound =
      direction === "outbound" ? this.#outbound(cluster, undefined) : this.#inbound(cluster, peer);
    const { opened, closed } = this.#bindTcp(bound, flag);
    opened.add(1);
    closed.add(1);
    bound.tcp ??= this.#bindTcp(bound);
    bound.tcp.edge?.noConnection(flag);
  }

  #edge(bound: Bound, isGrpc: boolean): EdgeTally | undefined {
    if (isGrpc) {
      if (bound.ends !== undefined) bound.grpcEdge ??= this.edges.of(bound.ends, "grpc");
      return bound.grpcEdge;
    }
    if (bound.edge === undefined && bound.ends !== undefined) {
      bound.edge = this.edges.of(bound.ends, "http");
    }
    return bound.edge;
  }

  #requestSeries(bound: Bound, exchange: Exchange): RequestSeries {
    const { status, flag, grpcStatus, isGrpc } = exchange;
    if (flag === "-" && (isGrpc ? grpcStatus === "0" && status === 200 : true)) {
      const known = isGrpc ? bound.grpcOk : bound.plain[status];
      if (known !== undefined) return known;
      const series = this.#bindRequest(bound.labels, exchange);
      if (isGrpc) bound.grpcOk = series;
      else bound.plain[status] = series;
      return series;
    }
    const key = `${isGrpc} ${status} ${flag} ${grpcStatus}`;
    let series = bound.flagged.get(key);
    if (series === undefined) {
      series = this.#bindRequest(bound.labels, exchange);
      bound.flagged.set(key, series);
    }
    return series;
  }

  // ---- who talks to whom -----------------------------------------------------------------------

  #outbound(cluster: ClusterRuntime | undefined, host: Host | undefined): Bound {
    if (cluster === undefined) return this.#lostFor("outbound");
    if (host === undefined) {
      if (cluster.series instanceof Bound) return cluster.series;
      const bound = this.#bindOutbound(cluster, undefined, false);
      cluster.series = bound;
      return bound;
    }
    if (host.series instanceof Bound) return host.series;
    const bound = this.#bindOutbound(cluster, host.endpoint.workload, host.endpoint.tls);
    host.series = bound;
    return bound;
  }

  #bindOutbound(
    cluster: ClusterRuntime,
    destination: WorkloadLabels | undefined,
    isMutualTls: boolean,
  ): Bound {
    const { trustDomain } = this.#environment;
    const principal =
      isMutualTls && destination !== undefined ? principalOf(destination, trustDomain) : unknown;
    const labels = {
      reporter: "source",
      ...source(this.#self, isMutualTls ? this.#selfPrincipal : unknown),
      ...destinationOf(destination, principal),
      ...serviceOf(cluster),
      // Istio: only the destination can tell.
      connection_security_policy: unknown,
    };
    return new Bound(labels, {
      source: `${this.#self.namespace}/${this.#self.workload}`,
      destination: serviceName(cluster),
      version: destination?.version || "-",
      // Of a peer that is no workload of the mesh nothing was verified.
      mtls: destination === undefined ? undefined : isMutualTls,
    });
  }

  #inbound(cluster: ClusterRuntime | undefined, peer: Peer): Bound {
    const key = cluster ?? this.#lost;
    const known = peer.series.get(key);
    if (known instanceof Bound) return known;
    const labels = {
      reporter: "destination",
      ...source(callerLabels(peer), spiffe(peer.principal)),
      ...destinationOf(this.#self, peer.principal === undefined ? unknown : this.#selfPrincipal),
      ...(cluster === undefined ? noService : serviceOf(cluster)),
      connection_security_policy: peer.principal === undefined ? "none" : "mutual_tls",
    };
    // A caller with an identity has a sidecar, which counts the edge and knows more of it.
    const bound = new Bound(
      labels,
      peer.principal === undefined ? this.#fromOutside(cluster) : undefined,
    );
    peer.series.set(key, bound);
    return bound;
  }

  #fromOutside(cluster: ClusterRuntime | undefined): EdgeEnds {
    const destination = cluster === undefined ? unknown : serviceName(cluster);
    return { source: "outside", destination, version: this.#self.version || "-", mtls: false };
  }

  #lostFor(direction: Direction): Bound {
    let bound = this.#lost.get(direction);
    if (bound === undefined) {
      const labels = {
        reporter: "source",
        ...source(this.#self, unknown),
        ...destinationOf(undefined, unknown),
        ...noService,
        connection_security_policy: unknown,
      };
      bound = new Bound(labels, {
        source: `${this.#self.namespace}/${this.#self.workload}`,
        destination: unknown,
        version: "-",
        mtls: undefined,
      });
      this.#lost.set(direction, bound);
    }
    return bound;
  }

  // ---- binding ---------------------------------------------------------------------------------

  #bindRequest(base: Labels, exchange: Exchange): RequestSeries {
    const { status, flag, grpcStatus, isGrpc } = exchange;
    const labels = {
      ...base,
      request_protocol: isGrpc ? "grpc" : "http",
      response_code: String(status),
      response_flags: flag,
      grpc_response_status: grpcStatus,
    };
    return {
      requests: this.#metrics.requestsTotal.with(labels),
      duration: this.#metrics.requestDurationMilliseconds.with(labels),
      requestBytes: this.#metrics.requestBytes.with(labels),
      responseBytes: this.#metrics.responseBytes.with(labels),
    };
  }

  #bindTcp({ labels: base, ends }: Bound, flag: ResponseFlag = "-"): TcpSeries {
    const labels = { ...base, request_protocol: "tcp", response_flags: flag };
    return {
      sent: this.#metrics.tcpSentBytesTotal.with(labels),
      received: this.#metrics.tcpReceivedBytesTotal.with(labels),
      opened: this.#metrics.tcpConnectionsOpenedTotal.with(labels),
      closed: this.#metrics.tcpConnectionsClosedTotal.with(labels),
      edge: ends === undefined ? undefined : this.edges.of(ends, "tcp"),
    };
  }
}

function endsOf({ labels, ends }: Bound): Ends {
  if (ends !== undefined) return ends;
  const name = (namespace: string, label: string): string =>
    labels[namespace] === unknown ? `${labels[label]}` : `${labels[namespace]}/${labels[label]}`;
  return {
    source: name("source_workload_namespace", "source_workload"),
    destination: name("destination_service_namespace", "destination_service_name"),
  };
}

const noService: Labels = {
  destination_service: unknown,
  destination_service_name: unknown,
  destination_service_namespace: unknown,
};

/** `namespace/service`, or the name of the cluster that stands in for one. */
function serviceName(cluster: ClusterRuntime): string {
  const { service } = cluster.config;
  return service === undefined ? cluster.name : `${service.namespace}/${service.name}`;
}

function serviceOf(cluster: ClusterRuntime): Labels {
  const { service } = cluster.config;
  if (service === undefined) {
    // Istio: passthrough and black hole are named as the service they stand in for.
    return {
      destination_service: unknown,
      destination_service_name: cluster.name,
      destination_service_namespace: unknown,
    };
  }
  return {
    destination_service: service.host,
    destination_service_name: service.name,
    destination_service_namespace: service.namespace,
  };
}

function source(labels: WorkloadLabels | undefined, principal: string): Labels {
  return {
    source_workload: labels?.workload || unknown,
    source_workload_namespace: labels?.namespace || unknown,
    source_principal: principal,
    source_app: labels?.app || unknown,
    source_version: labels?.version || unknown,
    source_cluster: labels === undefined ? unknown : clusterId,
    source_canonical_service: labels?.app || labels?.workload || unknown,
    source_canonical_revision: labels === undefined ? unknown : labels.version || "latest",
  };
}

function destinationOf(labels: WorkloadLabels | undefined, principal: string): Labels {
  return {
    destination_workload: labels?.workload || unknown,
    destination_workload_namespace: labels?.namespace || unknown,
    destination_principal: principal,
    destination_app: labels?.app || unknown,
    destination_version: labels?.version || unknown,
    destination_cluster: labels === undefined ? unknown : clusterId,
    destination_canonical_service: labels?.app || labels?.workload || unknown,
    destination_canonical_revision: labels === undefined ? unknown : labels.version || "latest",
  };
}

/** What is known of the caller: what its sidecar said, or at least what its certificate says. */
function callerLabels(peer: Peer): WorkloadLabels | undefined {
  if (peer.labels !== undefined) return peer.labels;
  if (peer.principal === undefined) return undefined;
  return { ...splitPrincipal(peer.principal), workload: "", app: "", version: "" };
}

function principalOf(labels: WorkloadLabels, trustDomain: string): string {
  return `spiffe://${trustDomain}/ns/${labels.namespace}/sa/${labels.serviceAccount}`;
}

function spiffe(principal: string | undefined): string {
  return principal === undefined ? unknown : `spiffe://${principal}`;
}
