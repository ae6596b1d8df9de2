/** Gauges and counters of the proxy itself, under Envoy's names where Envoy has one. Set when somebody scrapes. */

import type { MetricRegistry } from "../../telemetry/registry.ts";
import type { Runtime } from "../listen/runtime.ts";
import type { Overload } from "../overload.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";

const perCluster: readonly {
  readonly name: string;
  readonly help: string;
  /** Undefined: there is nothing to say of this cluster. */
  readonly value: (cluster: ClusterRuntime) => number | undefined;
}[] = [
  {
    name: "envoy_cluster_upstream_cx_active",
    help: "Connections to the cluster.",
    value: (cluster) => cluster.connections,
  },
  {
    name: "envoy_cluster_upstream_cx_total",
    help: "Connections ever opened to the cluster.",
    value: (cluster) => cluster.connectionsTotal,
  },
  {
    name: "envoy_cluster_upstream_cx_connect_fail",
    help: "Connections that could not be opened.",
    value: (cluster) => cluster.connectFailures,
  },
  {
    name: "envoy_cluster_upstream_rq_active",
    help: "Requests under way.",
    value: (cluster) => cluster.load.activeRequests,
  },
  {
    name: "envoy_cluster_upstream_rq_pending_active",
    help: "Requests waiting for a connection.",
    value: (cluster) => cluster.load.pendingRequests,
  },
  {
    name: "envoy_cluster_upstream_rq_pending_overflow",
    help: "Requests refused by a circuit breaker.",
    value: (cluster) => cluster.load.overflowsTotal,
  },
  {
    name: "envoy_cluster_upstream_rq_retry",
    help: "Retries made.",
    value: (cluster) => cluster.load.retriesTotal,
  },
  {
    name: "envoy_cluster_upstream_rq_retry_overflow",
    help: "Retries that the retry budget had no room for.",
    value: (cluster) => cluster.load.retryOverflowsTotal,
  },
  {
    name: "envoy_cluster_upstream_cx_overflow",
    help: "Connections that were wanted beyond the limit.",
    value: (cluster) => cluster.load.connectionOverflowsTotal,
  },
  {
    name: "envoy_cluster_membership_total",
    help: "Endpoints of the cluster.",
    value: (cluster) => cluster.hosts.length,
  },
  {
    name: "envoy_cluster_membership_healthy",
    help: "Endpoints that may be picked.",
    value: (cluster) => cluster.hosts.filter((host) => host.isUsable).length,
  },
  {
    name: "envoy_cluster_outlier_detection_ejections_active",
    help: "Endpoints that outlier detection holds back.",
    value: (cluster) => cluster.hosts.filter((host) => host.isEjected).length,
  },
  {
    name: "envoy_cluster_health_check_attempt",
    help: "Health checks made of endpoints.",
    value: ({ checks }) => checks?.attemptsTotal,
  },
  {
    name: "envoy_cluster_health_check_failure",
    help: "Health checks that failed.",
    value: ({ checks }) => checks?.failuresTotal,
  },
  {
    name: "heddle_proxy_hedge_sent_total",
    help: "Second tries that were sent while the first was under way.",
    value: ({ hedged }) => hedged.sentTotal || undefined,
  },
  {
    name: "heddle_proxy_hedge_won_total",
    help: "Second tries whose answer came first.",
    value: ({ hedged }) => hedged.wonTotal || undefined,
  },
  {
    name: "heddle_proxy_mirror_sent_total",
    help: "Copies of requests that were sent to the cluster as a mirror.",
    value: ({ mirrored }) => mirrored.sentTotal || undefined,
  },
  {
    name: "heddle_proxy_mirror_dropped_total",
    help: "Copies that were not made or given up, because the mirror was too slow.",
    value: ({ mirrored }) => mirrored.droppedTotal || undefined,
  },
];

const processWide: readonly {
  readonly name: string;
  readonly help: string;
  readonly value: (overload: Overload) => number;
}[] = [
  {
    name: "envoy_http_downstream_rq_active",
    help: "Requests under way.",
    value: (overload) => overload.activeRequests,
  },
  {
    name: "envoy_http_downstream_rq_overload_close",
    help: "Requests refused because the proxy had taken on as much as it may.",
    value: (overload) => overload.refusedRequestsTotal,
  },
  {
    name: "envoy_listener_downstream_cx_overload_reject",
    help: "Connections refused because of bytes held or handshakes under way.",
    value: (overload) => overload.refusedConnectionsTotal,
  },
  {
    name: "heddle_proxy_held_bytes",
    help: "Bytes held for peers that do not take them, as last measured.",
    value: (overload) => overload.heldBytes,
  },
  {
    name: "heddle_proxy_shed_connections_total",
    help: "Connections closed because they held the most of too much.",
    value: (overload) => overload.shedTotal,
  },
];

export function collectProxyMetrics(metrics: MetricRegistry, runtime: Runtime): void {
  const families = perCluster.map(({ name, help, value }) => ({
    family: metrics.gauge({ name, help, labels: ["cluster_name"] }),
    value,
  }));
  const active = metrics.gauge({
    name: "envoy_listener_downstream_cx_active",
    help: "Captured connections.",
    labels: [],
  });
  const total = metrics.gauge({
    name: "envoy_listener_downstream_cx_total",
    help: "Connections ever captured.",
    labels: [],
  });
  const refused = metrics.gauge({
    name: "envoy_listener_downstream_cx_overflow",
    help: "Connections refused because there were too many.",
    labels: [],
  });
  const limited = metrics.gauge({
    name: "envoy_http_local_rate_limit_rate_limited",
    help: "Requests refused by a local rate limit.",
    labels: ["place"],
  });
  const { overload } = runtime.environment;
  const process = processWide.map(({ name, help, value }) => ({
    family: metrics.gauge({ name, help, labels: [] }),
    value,
  }));
  metrics.onCollect(() => {
    for (const { family, value } of process) family.with().set(value(overload));
    for (const [place, { bucket }] of runtime.environment.buckets.inForce) {
      limited.with({ place }).set(bucket.refusedTotal);
    }
    active.with().set(runtime.connections.size);
    total.with().set(runtime.connections.acceptedTotal);
    refused.with().set(runtime.connections.refusedTotal);
    for (const cluster of runtime.tables.clusters.values()) {
      for (const { family, value } of families) {
        const now = value(cluster);
        if (now !== undefined) family.with({ cluster_name: cluster.name }).set(now);
      }
    }
  });
}
