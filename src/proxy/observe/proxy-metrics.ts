/**
 * Gauges and counters of the proxy itself, under Envoy's names where Envoy has one. Made when somebody scrapes, of what
 * there is then: a cluster that is gone is not told of.
 */

import type { Family, MetricRegistry } from "../../telemetry/registry.ts";
import type { Runtime } from "../listen/runtime.ts";
import type { Overload } from "../overload.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";

/** A counter only rises, until the process or the cluster is another one. */
type Kind = "counter" | "gauge";

const perCluster: readonly {
  readonly kind: Kind;
  readonly name: string;
  readonly help: string;
  /** Undefined: there is nothing to say of this cluster. */
  readonly value: (cluster: ClusterRuntime) => number | undefined;
}[] = [
  {
    kind: "gauge",
    name: "envoy_cluster_upstream_cx_active",
    help: "Connections to the cluster.",
    value: (cluster) => cluster.connections,
  },
  {
    kind: "counter",
    name: "envoy_cluster_upstream_cx_total",
    help: "Connections ever opened to the cluster.",
    value: (cluster) => cluster.connectionsTotal,
  },
  {
    kind: "counter",
    name: "envoy_cluster_upstream_cx_connect_fail",
    help: "Connections that could not be opened.",
    value: (cluster) => cluster.connectFailures,
  },
  {
    kind: "gauge",
    name: "envoy_cluster_upstream_rq_active",
    help: "Requests under way.",
    value: (cluster) => cluster.load.activeRequests,
  },
  {
    kind: "gauge",
    name: "envoy_cluster_upstream_rq_pending_active",
    help: "Requests waiting for a connection.",
    value: (cluster) => cluster.load.pendingRequests,
  },
  {
    kind: "counter",
    name: "envoy_cluster_upstream_rq_pending_overflow",
    help: "Requests refused by a circuit breaker.",
    value: (cluster) => cluster.load.overflowsTotal,
  },
  {
    kind: "counter",
    name: "envoy_cluster_upstream_rq_retry",
    help: "Retries made.",
    value: (cluster) => cluster.load.retriesTotal,
  },
  {
    kind: "counter",
    name: "envoy_cluster_upstream_rq_retry_overflow",
    help: "Retries that the retry budget had no room for.",
    value: (cluster) => cluster.load.retryOverflowsTotal,
  },
  {
    kind: "counter",
    name: "envoy_cluster_upstream_cx_overflow",
    help: "Connections that were wanted beyond the limit.",
    value: (cluster) => cluster.load.connectionOverflowsTotal,
  },
  {
    kind: "gauge",
    name: "envoy_cluster_membership_total",
    help: "Endpoints of the cluster.",
    value: (cluster) => cluster.hosts.length,
  },
  {
    kind: "gauge",
    name: "envoy_cluster_membership_healthy",
    help: "Endpoints that may be picked.",
    value: (cluster) => cluster.hosts.filter((host) => host.isUsable).length,
  },
  {
    kind: "gauge",
    name: "envoy_cluster_outlier_detection_ejections_active",
    help: "Endpoints that outlier detection holds back.",
    value: (cluster) => cluster.hosts.filter((host) => host.isEjected).length,
  },
  {
    kind: "counter",
    name: "envoy_cluster_health_check_attempt",
    help: "Health checks made of endpoints.",
    value: ({ checks }) => checks?.attemptsTotal,
  },
  {
    kind: "counter",
    name: "envoy_cluster_health_check_failure",
    help: "Health checks that failed.",
    value: ({ checks }) => checks?.failuresTotal,
  },
  {
    kind: "counter",
    name: "heddle_proxy_hedge_sent_total",
    help: "Second tries that were sent while the first was under way.",
    value: ({ hedged }) => hedged.sentTotal || undefined,
  },
  {
    kind: "counter",
    name: "heddle_proxy_hedge_won_total",
    help: "Second tries whose answer came first.",
    value: ({ hedged }) => hedged.wonTotal || undefined,
  },
  {
    kind: "counter",
    name: "heddle_proxy_mirror_sent_total",
    help: "Copies of requests that were sent to the cluster as a mirror.",
    value: ({ mirrored }) => mirrored.sentTotal || undefined,
  },
  {
    kind: "counter",
    name: "heddle_proxy_mirror_dropped_total",
    help: "Copies that were not made or given up, because the mirror was too slow.",
    value: ({ mirrored }) => mirrored.droppedTotal || undefined,
  },
];

const processWide: readonly {
  readonly kind: Kind;
  readonly name: string;
  readonly help: string;
  readonly value: (overload: Overload) => number;
}[] = [
  {
    kind: "gauge",
    name: "envoy_http_downstream_rq_active",
    help: "Requests under way.",
    value: (overload) => overload.activeRequests,
  },
  {
    kind: "counter",
    name: "envoy_http_downstream_rq_overload_close",
    help: "Requests refused because the proxy had taken on as much as it may.",
    value: (overload) => overload.refusedRequestsTotal,
  },
  {
    kind: "counter",
    name: "envoy_listener_downstream_cx_overload_reject",
    help: "Connections refused because of bytes held or handshakes under way.",
    value: (overload) => overload.refusedConnectionsTotal,
  },
  {
    kind: "gauge",
    name: "heddle_proxy_held_bytes",
    help: "Bytes held for peers that do not take them, as last measured.",
    value: (overload) => overload.heldBytes,
  },
  {
    kind: "counter",
    name: "heddle_proxy_shed_connections_total",
    help: "Connections closed because they held the most of too much.",
    value: (overload) => overload.shedTotal,
  },
];

export function collectProxyMetrics(metrics: MetricRegistry, runtime: Runtime): void {
  const { overload, buckets } = runtime.environment;
  const family = (kind: Kind, name: string, help: string, ...labels: string[]): ValueFamily =>
    metrics[kind]({ name, help, labels });
  const clusters = perCluster.map(({ kind, name, help, value }) => ({
    series: family(kind, name, help, "cluster_name"),
    value,
  }));
  const process = processWide.map(({ kind, name, help, value }) => ({
    series: family(kind, name, help),
    value,
  }));
  const listener = "envoy_listener_downstream_cx";
  const active = family("gauge", `${listener}_active`, "Captured connections.");
  const total = family("counter", `${listener}_total`, "Connections ever captured.");
  const refused = family(
    "counter",
    `${listener}_overflow`,
    "Connections refused because there were too many.",
  );
  const limited = family(
    "counter",
    "envoy_http_local_rate_limit_rate_limited",
    "Requests refused by a local rate limit.",
    "place",
  );
  metrics.onCollect(() => {
    for (const { series, value } of process) series.with().value = value(overload);
    limited.clear();
    for (const [place, { bucket }] of buckets.inForce) {
      limited.with({ place }).value = bucket.refusedTotal;
    }
    active.with().value = runtime.connections.size;
    total.with().value = runtime.connections.acceptedTotal;
    refused.with().value = runtime.connections.refusedTotal;
    for (const { series, value } of clusters) {
      series.clear();
      for (const cluster of runtime.tables.clusters.values()) {
        const now = value(cluster);
        if (now !== undefined) series.with({ cluster_name: cluster.name }).value = now;
      }
    }
  });
}

type ValueFamily = Pick<Family<{ value: number }>, "with" | "clear">;
