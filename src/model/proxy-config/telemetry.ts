/** What is told of each request besides its metrics. */

/** Spans, to a collector that takes OTLP over HTTP. */
export interface Tracing {
  /** Where the collector is. */
  readonly cluster: string;
  /** What it is asked as and for: `otel-collector.observability:4318`, `/v1/traces`. */
  readonly host: string;
  readonly path: string;
  /** Whose spans they are. */
  readonly service: string;
  /** Of a hundred traces that begin here so many are told of; what others have decided holds. */
  readonly percent: number;
}
