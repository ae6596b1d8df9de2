/**
 * What does it cost to see a request within two seconds?
 *
 * Two parts. On the data path: the CPU time of our own counters for one request at both ends, against the Prometheus
 * series of the same request. Off it: the CPU time of one pod's second along the whole way (sidecar's answer, agent,
 * report, server's history, and the graph once a report), and the report's bytes, against rendering the same sidecar's
 * Prometheus text, which is what a scrape of the same detail begins with. All in this process, in CPU time, so that
 * other work on the machine matters little; no sockets, whose cost both ways share.
 */

import { worldOf } from "../src/core/registry/world.ts";
import { graphOf } from "../src/core/traffic/graph.ts";
import { TrafficHistory } from "../src/core/traffic/history.ts";
import { Readings } from "../src/core/traffic/increase.ts";
import { sumEdges, sumServing } from "../src/core/traffic/sum.ts";
import type { NodeReport, SidecarObservation } from "../src/model/observation.ts";
import { Edges } from "../src/proxy/observe/edges.ts";
import { ServingTally } from "../src/proxy/observe/serving.ts";
import { renderText } from "../src/telemetry/exposition.ts";
import { istioMetrics } from "../src/telemetry/istio.ts";
import { MetricRegistry } from "../src/telemetry/registry.ts";
import { parseObservation, parseReport } from "../src/wire/observation/parse.ts";
import type { BenchResult } from "./result.ts";

const rounds = 7;
const requests = 200_000;
/** Edges of one sidecar: a service of the shop has four at most. */
const edgesPerPod = 4;
const requestsPerSecond = 50;
const seconds = 60;

export async function run(): Promise<BenchResult> {
  const perRequest = { ours: [] as number[], prometheus: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    perRequest.ours.push(cpuOf(countFinely) / requests);
    perRequest.prometheus.push(cpuOf(countForPrometheus) / requests);
  }
  const growth = [10, 30, 100].map((pods) => ({ pods, ...pathOf(pods) }));
  const usual = growth[1] ?? { microseconds: Number.NaN, bytes: Number.NaN };
  const rival = scrapeOf();
  return {
    bench: "observation",
    unit: "microseconds of CPU for one pod's second, from its sidecar to the server's graph",
    ours: round(usual.microseconds),
    floor: null,
    rivals: { "Prometheus text, rendered only": round(rival.microseconds) },
    ratio: { "Prometheus text, rendered only": round(usual.microseconds / rival.microseconds) },
    growth: growth.map(({ pods, microseconds }) => ({ n: pods, value: round(microseconds) })),
    details: {
      perRequestNanoseconds: {
        ours: Math.round(1000 * median(perRequest.ours.slice(1))),
        prometheusSeries: Math.round(1000 * median(perRequest.prometheus.slice(1))),
      },
      reportBytesPerPod: growth.map(({ pods, bytes }) => ({ pods, bytes })),
      scrapeBytesPerPod: rival.bytes,
    },
  };
}

/** Both ends of a request, as the sidecars' filters count it. */
function countFinely(): void {
  const edge = new Edges().of(
    { source: "shop/web", destination: "shop/cart", version: "v1", mtls: true },
    "http",
  );
  const serving = new ServingTally("shop/cart-0", "shop/cart");
  for (let i = 0; i < requests; i++) {
    const found = serving.arrive(i);
    serving.depart(i, i + latencyOf(i), found, false);
    edge.request(answered, latencyOf(i));
  }
}

function countForPrometheus(): void {
  const ends = ["source", "destination"].map((reporter) => {
    const metrics = istioMetrics(new MetricRegistry());
    const labels = { reporter, response_code: "200" };
    return {
      total: metrics.requestsTotal.with(labels),
      duration: metrics.requestDurationMilliseconds.with(labels),
      sent: metrics.requestBytes.with(labels),
      received: metrics.responseBytes.with(labels),
    };
  });
  for (let i = 0; i < requests; i++) {
    for (const { total, duration, sent, received } of ends) {
      total.add(1);
      duration.observe(latencyOf(i));
      sent.observe(200);
      received.observe(1_200);
    }
  }
}

/** A node's minute with so many pods; CPU and bytes are those of one pod's second. */
function pathOf(pods: number): { readonly microseconds: number; readonly bytes: number } {
  const world = worldOf([]);
  const sidecars = Array.from({ length: pods }, (_, i) => new SidecarModel(`pod-${i}`));
  const readings = new Readings(0);
  const history = new TrafficHistory();
  const costs: number[] = [];
  let bytes = 0;
  for (let second = 1; second <= seconds; second++) {
    for (const sidecar of sidecars) sidecar.serve(requestsPerSecond, second * 1000);
    const cpu = cpuOf(() => {
      const moved = sidecars.map((sidecar) => {
        const text = JSON.stringify(sidecar.observe(second * 1000));
        return readings.advance(sidecar.name, parseObservation(JSON.parse(text)));
      });
      const report: NodeReport = {
        node: "node-1",
        from: (second - 1) * 1000,
        to: second * 1000,
        edges: sumEdges(moved.flatMap(({ edges }) => edges)),
        serving: sumServing(moved.flatMap(({ serving }) => serving)),
        drops: [],
        losses: [],
        sidecars: [],
        taps: [],
        checks: [],
      };
      const text = JSON.stringify(report);
      bytes = text.length;
      history.add(parseReport(JSON.parse(text)), second * 1000);
      graphOf(world, history.window(10, second * 1000));
    });
    if (second > 10) costs.push(cpu / pods);
  }
  return { microseconds: median(costs), bytes: Math.round(bytes / pods) };
}

/** An exchange that is over. */
const answered = {
  status: 200,
  flag: "-",
  attempts: 1,
  outcome: (status: number): number => status,
} as const;

/** What one sidecar counts. */
class SidecarModel {
  readonly name: string;
  readonly #edges = new Edges();
  readonly #serving: ServingTally;
  #served = 0;

  constructor(name: string) {
    this.name = name;
    this.#serving = new ServingTally(`shop/${name}`, "shop/cart");
  }

  serve(count: number, at: number): void {
    for (let i = 0; i < count; i++) {
      const latencyMs = latencyOf(this.#served++);
      const found = this.#serving.arrive(at + i);
      this.#serving.depart(at + i, at + i + latencyMs, found, false);
      const destination = `shop/service-${i % edgesPerPod}`;
      const ends = { source: `shop/${this.name}`, destination, version: "v1", mtls: true };
      this.#edges.of(ends, "http").request(answered, latencyMs);
    }
  }

  observe(now: number): SidecarObservation {
    const edges = this.#edges.counts();
    return {
      start: this.name,
      startedAt: 1,
      edges,
      serving: [this.#serving.counts(now)],
      losses: [],
    };
  }
}

function scrapeOf(): { readonly microseconds: number; readonly bytes: number } {
  const registry = new MetricRegistry();
  const metrics = istioMetrics(registry);
  for (let i = 0; i <= edgesPerPod; i++) {
    const labels = {
      reporter: i === 0 ? "destination" : "source",
      source_workload: "a-workload",
      source_principal: "spiffe://cluster.local/ns/shop/sa/a-service-account",
      destination_workload: `service-${i}`,
      destination_service: `service-${i}.shop.svc.cluster.local`,
      response_code: "200",
    };
    metrics.requestsTotal.with(labels).add(1);
    for (const family of [
      metrics.requestDurationMilliseconds,
      metrics.requestBytes,
      metrics.responseBytes,
    ]) {
      family.with(labels).observe(4);
    }
  }
  const costs = Array.from({ length: 200 }, () => cpuOf(() => void renderText(registry)));
  return { microseconds: median(costs.slice(50)), bytes: renderText(registry).length };
}

/** Spread over some twenty buckets, as real ones are. */
function latencyOf(i: number): number {
  return 1 + ((i * 7919) % 97) / 8;
}

/** CPU time of this process, µs. */
function cpuOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
