/**
 * Istio's standard metrics: names, labels and buckets exactly, because people's dashboards, alerts and Kiali query
 * them.
 *
 * Not here: what value a label has for a request (proxy/observe).
 */

import type { Counter, Family, Histogram, MetricRegistry } from "./registry.ts";

/** The labels of every Istio metric, TCP ones included. */
const workloadLabels = [
  "reporter",
  "source_workload",
  "source_workload_namespace",
  "source_principal",
  "source_app",
  "source_version",
  "source_cluster",
  "source_canonical_service",
  "source_canonical_revision",
  "destination_workload",
  "destination_workload_namespace",
  "destination_principal",
  "destination_app",
  "destination_version",
  "destination_service",
  "destination_service_name",
  "destination_service_namespace",
  "destination_cluster",
  "destination_canonical_service",
  "destination_canonical_revision",
  "request_protocol",
  "response_flags",
  "connection_security_policy",
];

export const tcpLabels: readonly string[] = workloadLabels;
export const requestLabels: readonly string[] = [
  ...workloadLabels,
  "response_code",
  "grpc_response_status",
];

/** Milliseconds for durations, bytes for sizes: Envoy uses one list for both. */
export const istioBuckets: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000,
  1_800_000, 3_600_000,
];

export interface IstioMetrics {
  readonly requestsTotal: Family<Counter>;
  readonly requestDurationMilliseconds: Family<Histogram>;
  readonly requestBytes: Family<Histogram>;
  readonly responseBytes: Family<Histogram>;
  readonly tcpSentBytesTotal: Family<Counter>;
  readonly tcpReceivedBytesTotal: Family<Counter>;
  readonly tcpConnectionsOpenedTotal: Family<Counter>;
  readonly tcpConnectionsClosedTotal: Family<Counter>;
}

export function istioMetrics(registry: MetricRegistry): IstioMetrics {
  const request = (name: string, help: string) => ({ name, help, labels: requestLabels });
  const sized = (name: string, help: string) => ({ ...request(name, help), bounds: istioBuckets });
  const tcp = (name: string, help: string) => ({ name, help, labels: tcpLabels });
  return {
    requestsTotal: registry.counter(request("istio_requests_total", "Requests handled.")),
    requestDurationMilliseconds: registry.histogram(
      sized("istio_request_duration_milliseconds", "Duration of requests."),
    ),
    requestBytes: registry.histogram(sized("istio_request_bytes", "Request sizes, head included.")),
    responseBytes: registry.histogram(
      sized("istio_response_bytes", "Response sizes, head included."),
    ),
    tcpSentBytesTotal: registry.counter(
      tcp("istio_tcp_sent_bytes_total", "Bytes sent to the downstream during TCP connections."),
    ),
    tcpReceivedBytesTotal: registry.counter(
      tcp("istio_tcp_received_bytes_total", "Bytes received from the downstream."),
    ),
    tcpConnectionsOpenedTotal: registry.counter(
      tcp("istio_tcp_connections_opened_total", "TCP connections opened."),
    ),
    tcpConnectionsClosedTotal: registry.counter(
      tcp("istio_tcp_connections_closed_total", "TCP connections closed."),
    ),
  };
}
