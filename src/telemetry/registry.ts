/**
 * Counters, gauges and histograms with bounded label sets.
 *
 * `with` does the expensive part once (labels to a key, key to a series) and hands out the series; on the hot path a
 * request then costs `series.add(1)` or `series.observe(x)`. Families are found again by name, so two parts of a
 * process may name the same one.
 *
 * Not here: the text format (exposition.ts).
 */

import { MeshError } from "../base/error.ts";

export type Labels = Readonly<Record<string, string>>;

export class Counter {
  value = 0;

  add(amount: number): void {
    this.value += amount;
  }
}

export class Gauge {
  value = 0;

  add(amount: number): void {
    this.value += amount;
  }

  set(value: number): void {
    this.value = value;
  }
}

export class Histogram {
  /** Upper bounds, ascending; the last bucket (+Inf) has none. */
  readonly bounds: readonly number[];
  /** Per bucket, not cumulative; one longer than `bounds`. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds } = this;
    let bucket = 0;
    // Linear: latencies and sizes of a service live in the first buckets, where this beats a binary search.
    while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
  }
}

export interface Series<M> {
  /** In the order of the family's label names. */
  readonly values: readonly string[];
  readonly metric: M;
}

export type MetricKind = "counter" | "gauge" | "histogram";

export interface FamilyOptions {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly maxSeries?: number;
}

const defaultMaxSeries = 10_000;
const overflowValue = "overflow";

export class Family<M> {
  readonly kind: MetricKind;
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly #make: () => M;
  readonly #maxSeries: number;
  readonly #series = new Map<string, Series<M>>();
  #overflow: Series<M> | undefined;

  constructor(kind: MetricKind, options: FamilyOptions, make: () => M) {
    this.kind = kind;
    this.name = options.name;
    this.help = options.help;
    this.labels = options.labels;
    this.#make = make;
    this.#maxSeries = options.maxSeries ?? defaultMaxSeries;
  }

  /** The series with these labels, made when it is new. A label that is not given is empty. */
  with(labels: Labels = {}): M {
    const values = this.labels.map((label) => labels[label] ?? "");
    const key = values.join("\u0000");
    const known = this.#series.get(key);
    if (known !== undefined) return known.metric;
    if (this.#series.size >= this.#maxSeries) return this.#overflowing();
    const metric = this.#make();
    this.#series.set(key, { values, metric });
    return metric;
  }

  /** Forgets every series: for those that are made anew whenever somebody asks. */
  clear(): void {
    this.#series.clear();
    this.#overflow = undefined;
  }

  /** Every series, sorted by label values. */
  series(): readonly Series<M>[] {
    const all = [...this.#series.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
    const sorted = all.map(([, series]) => series);
    return this.#overflow === undefined ? sorted : [...sorted, this.#overflow];
  }

  #overflowing(): M {
    this.#overflow ??= { values: this.labels.map(() => overflowValue), metric: this.#make() };
    return this.#overflow.metric;
  }
}

export type AnyFamily =
  | { readonly kind: "counter"; readonly family: Family<Counter> }
  | { readonly kind: "gauge"; readonly family: Family<Gauge> }
  | { readonly kind: "histogram"; readonly family: Family<Histogram> };

export class MetricRegistry {
  readonly #families = new Map<string, AnyFamily>();
  readonly #collectors: (() => void)[] = [];

  counter(options: FamilyOptions): Family<Counter> {
    const known = this.#families.get(options.name);
    if (known?.kind === "counter") return known.family;
    const family = new Family("counter", options, () => new Counter());
    this.#add(options.name, { kind: "counter", family });
    return family;
  }

  gauge(options: FamilyOptions): Family<Gauge> {
    const known = this.#families.get(options.name);
    if (known?.kind === "gauge") return known.family;
    const family = new Family("gauge", options, () => new Gauge());
    this.#add(options.name, { kind: "gauge", family });
    return family;
  }

  histogram(options: FamilyOptions & { readonly bounds: readonly number[] }): Family<Histogram> {
    const known = this.#families.get(options.name);
    if (known?.kind === "histogram") return known.family;
    const family = new Family("histogram", options, () => new Histogram(options.bounds));
    this.#add(options.name, { kind: "histogram", family });
    return family;
  }

  /** Runs before each rendering: the place to set gauges from state that is kept elsewhere anyway. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** Every family, sorted by name, after the collectors ran. */
  collect(): readonly AnyFamily[] {
    for (const collect of this.#collectors) collect();
    return [...this.#families.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, family]) => family);
  }

  #add(name: string, family: AnyFamily): void {
    if (this.#families.has(name)) {
      throw new MeshError(
        "telemetry.metric.kind",
        `register ${name} as ${family.kind}: it is another kind`,
      );
    }
    this.#families.set(name, family);
  }
}
