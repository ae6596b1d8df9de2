/**
 * From the sidecars' counters to edges: who calls which Service, how often, how well, and over what.
 *
 * Both ends of a request count it; the source's count is taken, because it knows which Service was meant, which version
 * answered, how long it took, and whose certificate it has verified: a verified peer is mTLS. Counters are cumulative
 * per sidecar: `Counters` turns two readings into what happened between them, and takes a counter that went back as a
 * sidecar that started anew.
 */

import { quantile } from "../../core/queueing/histogram.ts";
import type { Sample } from "./prometheus-text.ts";

/** What happened on one edge in some span of time. */
export interface Edge {
  /** `namespace/workload`, e.g. `shop/web`. */
  readonly source: string;
  /** `namespace/service`. */
  readonly destination: string;
  readonly protocol: "http" | "tcp";
  /** Requests, or connections where the protocol is `tcp`. */
  readonly requests: number;
  /** Requests answered below 500 and not cut off; undefined without requests. */
  readonly successShare?: number;
  /** Requests by status code; empty for `tcp`. */
  readonly codes: Readonly<Record<string, number>>;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** Requests by the version that answered. */
  readonly versions: Readonly<Record<string, number>>;
  /** Every connection was; undefined while there was no connection. */
  readonly mtls?: boolean;
}

const requestsTotal = "istio_requests_total";
const durationBucket = "istio_request_duration_milliseconds_bucket";
const connectionsTotal = "istio_tcp_connections_opened_total";

export function isTrafficMetric(name: string): boolean {
  return name === requestsTotal || name === durationBucket || name === connectionsTotal;
}

/** The increase of every series since the last reading, by sidecar. */
export class Counters {
  readonly #last = new Map<string, number>();

  /** The samples of one sidecar with values turned into increases; series that did not move are left out. */
  advance(sidecar: string, samples: readonly Sample[]): Sample[] {
    const moved: Sample[] = [];
    for (const sample of samples) {
      const key = `${sidecar} ${sample.name} ${JSON.stringify(sample.labels)}`;
      const before = this.#last.get(key) ?? 0;
      this.#last.set(key, sample.value);
      const increase = sample.value >= before ? sample.value - before : sample.value;
      if (increase > 0) moved.push({ ...sample, value: increase });
    }
    return moved;
  }
}

interface Tally {
  requests: number;
  failed: number;
  readonly codes: Record<string, number>;
  readonly versions: Record<string, number>;
  readonly buckets: Map<number, number>;
  secure: number;
  plain: number;
}

/** Sums samples (of all sidecars, each reading once) into edges, sorted by source and destination. */
export function edgesOf(samples: readonly Sample[]): Edge[] {
  const tallies = new Map<string, Tally>();
  for (const { name, labels, value } of samples) {
    if (labels["reporter"] !== "source") continue;
    const source = `${labels["source_workload_namespace"]}/${labels["source_workload"]}`;
    const destination = destinationOf(labels);
    const protocol = name === connectionsTotal ? "tcp" : "http";
    const tally = entry(tallies, `${source} ${destination} ${protocol}`);
    if (name === durationBucket) {
      const upTo = labels["le"] === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels["le"]);
      tally.buckets.set(upTo, (tally.buckets.get(upTo) ?? 0) + value);
      continue;
    }
    tally.requests += value;
    if (isKnown(labels["destination_workload"])) {
      add(tally.versions, versionOf(labels), value);
      if (labels["destination_principal"]?.startsWith("spiffe://")) tally.secure += value;
      else tally.plain += value;
    }
    if (protocol === "tcp") continue;
    const code = labels["response_code"] ?? "0";
    add(tally.codes, code, value);
    if (Number(code) >= 500 || Number(code) === 0) tally.failed += value;
  }
  return [...tallies]
    .filter(([, tally]) => tally.requests > 0)
    .map(([key, tally]) => edgeOf(key, tally))
    .sort(byEnds);
}

function edgeOf(key: string, tally: Tally): Edge {
  const [source = "", destination = "", protocol] = key.split(" ");
  const buckets = [...tally.buckets].map(([upTo, count]) => ({ upTo, count }));
  const p50Ms = quantile(0.5, buckets);
  const p99Ms = quantile(0.99, buckets);
  return {
    source,
    destination,
    protocol: protocol === "tcp" ? "tcp" : "http",
    requests: tally.requests,
    successShare: 1 - tally.failed / tally.requests,
    codes: tally.codes,
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p99Ms === undefined ? {} : { p99Ms }),
    versions: tally.versions,
    // One request in the clear is enough to say no.
    ...(tally.secure + tally.plain === 0 ? {} : { mtls: tally.plain === 0 }),
  };
}

function destinationOf(labels: Readonly<Record<string, string>>): string {
  const name = labels["destination_service_name"];
  const namespace =
    labels["destination_service_namespace"] ?? labels["destination_workload_namespace"];
  if (!isKnown(name)) return labels["destination_service"] ?? "unknown";
  return isKnown(namespace) ? `${namespace}/${name}` : name;
}

function versionOf(labels: Readonly<Record<string, string>>): string {
  const version = labels["destination_version"] ?? labels["destination_canonical_revision"];
  return isKnown(version) ? version : "-";
}

function isKnown(label: string | undefined): label is string {
  return label !== undefined && label !== "" && label !== "unknown";
}

function entry(tallies: Map<string, Tally>, key: string): Tally {
  let tally = tallies.get(key);
  if (tally === undefined) {
    tally = {
      requests: 0,
      failed: 0,
      codes: {},
      versions: {},
      buckets: new Map(),
      secure: 0,
      plain: 0,
    };
    tallies.set(key, tally);
  }
  return tally;
}

function add(counts: Record<string, number>, key: string, value: number): void {
  counts[key] = (counts[key] ?? 0) + value;
}

function byEnds(a: Edge, b: Edge): number {
  return a.source === b.source
    ? compare(a.destination, b.destination)
    : compare(a.source, b.source);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
