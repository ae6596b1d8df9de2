/**
 * Brings spans to their collector: many at a time, by the sidecar's own ways (its clusters, its mesh TLS).
 *
 * Requests never wait for it. Spans wait for each other up to a second; while a batch is under way the next gathers, up to
 * `mostWaiting`, and what has no room then, or was in a batch that the collector did not take, is dropped and counted:
 * `heddle_proxy_spans_total`.
 */

import type { Tracing } from "../../model/proxy-config.ts";
import type { Counter } from "../../telemetry/registry.ts";
import { renderSpan, renderSpans, type Span } from "../../wire/tracing/otlp.ts";
import type { Environment } from "../environment.ts";
import { Timeout } from "../timer-wheel.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import { post } from "../upstream/post.ts";

const gatherMs = 1_000;
const batchSize = 256;
const mostWaiting = 1_024; // some 1 MB, and 3 MB where clients say as much as is told
const timeoutMs = 5_000;
/** Nobody is told of how the collector was told, or that would never end. */
const fields = "content-type: application/json\r\nb3: 0\r\n";

/** Where spans go; undefined cluster: the configuration names one that it does not have. */
export interface Collector extends Pick<Tracing, "host" | "path" | "service"> {
  readonly cluster: ClusterRuntime | undefined;
}

export class SpanExporter {
  /** Changes with the configuration. */
  collector: Collector | undefined;
  readonly #environment: Environment;
  readonly #told: Counter;
  readonly #dropped: Counter;
  readonly #gather: Timeout;
  /** Rendered, since a span in parts would keep the whole heads of requests that they are parts of. */
  #waiting: string[] = [];
  #underWay: Promise<void> | undefined;

  constructor(environment: Environment) {
    this.#environment = environment;
    const total = environment.metrics.counter({
      name: "heddle_proxy_spans_total",
      help: "Spans of traces, by whether their collector has them.",
      labels: ["outcome"],
    });
    this.#told = total.with({ outcome: "told" });
    this.#dropped = total.with({ outcome: "dropped" });
    this.#gather = new Timeout(() => this.flush());
  }

  add(span: Span): void {
    if (this.#waiting.length >= mostWaiting) {
      this.#dropped.add(1);
      return;
    }
    this.#waiting.push(renderSpan(span));
    if (this.#underWay !== undefined) return;
    if (this.#waiting.length >= batchSize) this.flush();
    else if (!this.#gather.isArmed) this.#environment.wheel.arm(this.#gather, gatherMs);
  }

  /** Resolves when the collector has what waits, or does not take it. */
  async finish(): Promise<void> {
    this.flush();
    while (this.#underWay !== undefined) {
      await this.#underWay;
      this.flush();
    }
  }

  /** Sends what waits, where nothing is under way. */
  flush(): void {
    if (this.#underWay !== undefined || this.#waiting.length === 0) return;
    this.#environment.wheel.cancel(this.#gather);
    const batch = this.#waiting.splice(0, batchSize);
    const cluster = this.collector?.cluster;
    if (this.collector === undefined || cluster === undefined) {
      this.#dropped.add(batch.length);
      return;
    }
    const { host, path, service } = this.collector;
    const body = Buffer.from(renderSpans(service, batch));
    const ended = Promise.withResolvers<void>();
    this.#underWay = ended.promise;
    post({ cluster, host, path, fields, body, timeoutMs }, (status) => {
      const isTaken = status >= 200 && status < 300;
      (isTaken ? this.#told : this.#dropped).add(batch.length);
      this.#underWay = undefined;
      if (this.#waiting.length >= batchSize) this.flush();
      else if (this.#waiting.length > 0) this.#environment.wheel.arm(this.#gather, gatherMs);
      ended.resolve();
    });
  }
}

/** The exporters of one sidecar, each for one collector. */
export class SpanExporters {
  readonly #environment: Environment;
  #all = new Map<string, SpanExporter>();
  /** What is on its way from those that no configuration wants any more. */
  readonly #last = new Set<Promise<void>>();
  /** Those that the configuration in the making wants. */
  #next = new Map<string, SpanExporter>();

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** A configuration is in the making. */
  prepare(): void {
    this.#next = new Map();
  }

  at({ host, path, service, cluster }: Tracing): SpanExporter {
    const key = `${cluster} ${host}${path} ${service}`;
    const exporter =
      this.#next.get(key) ?? this.#all.get(key) ?? new SpanExporter(this.#environment);
    this.#next.set(key, exporter);
    return exporter;
  }

  /** It is in force. */
  commit(): void {
    for (const [key, exporter] of this.#all) {
      if (this.#next.get(key) !== exporter) this.#endOf(exporter);
    }
    this.#all = this.#next;
  }

  #endOf(exporter: SpanExporter): void {
    const last = exporter.finish();
    this.#last.add(last);
    void last.then(() => this.#last.delete(last));
  }

  async finish(): Promise<void> {
    const own = [...this.#all.values()].map((exporter) => exporter.finish());
    await Promise.all([...own, ...this.#last]);
  }
}
