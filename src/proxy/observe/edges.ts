/**
 * Who talks to whom, as this sidecar sees it: counts and fine latencies by destination, version and security.
 *
 * Finer than Istio's metrics in time, coarser in labels: one histogram for an edge and version, not one for each
 * status. A tally is bound where the metric series are (recorder.ts), so a request finds it without composing a key.
 */

import { LogHistogram } from "../../base/log-histogram.ts";
import type { EdgeCounts } from "../../model/observation.ts";
import type { Exchange } from "../stack/exchange.ts";

/** Edges that are told apart; some dozen are usual. 2 kB each. */
const maxEdges = 1_000;
const overflow = "overflow";

export interface EdgeEnds {
  /** `namespace/workload`, or `outside`. */
  readonly source: string;
  readonly destination: string;
  readonly version: string;
  /** Undefined where nobody was reached. */
  readonly mtls: boolean | undefined;
}

export class EdgeTally {
  readonly ends: EdgeEnds;
  readonly protocol: EdgeCounts["protocol"];
  readonly #codes = new Map<number, number>();
  readonly #flags = new Map<string, number>();
  readonly #durations = new LogHistogram();
  #durationSumMs = 0;
  #retries = 0;
  #connections = 0;

  constructor(ends: EdgeEnds, protocol: EdgeCounts["protocol"]) {
    this.ends = ends;
    this.protocol = protocol;
  }

  request(
    exchange: Pick<Exchange, "status" | "flag" | "attempts" | "outcome">,
    durationMs: number,
  ): void {
    const { flag, attempts } = exchange;
    const status = exchange.outcome(exchange.status);
    this.#codes.set(status, (this.#codes.get(status) ?? 0) + 1);
    if (flag !== "-") this.#flag(flag);
    if (attempts > 1) this.#retries += attempts - 1;
    if (status === 101) return; // lasts as long as the other protocol does
    this.#durations.observe(durationMs);
    this.#durationSumMs += durationMs;
  }

  connection(): void {
    this.#connections++;
  }

  /** A connection that nobody took. */
  noConnection(flag: string): void {
    this.#codes.set(0, (this.#codes.get(0) ?? 0) + 1);
    this.#flag(flag);
  }

  counts(): EdgeCounts {
    const { mtls, ...ends } = this.ends;
    const codes: Record<string, number> = {};
    for (const [code, count] of this.#codes) codes[String(code)] = count;
    if (this.#connections > 0) codes["-"] = this.#connections;
    return {
      ...ends,
      protocol: this.protocol,
      ...(mtls === undefined ? {} : { mtls }),
      codes,
      flags: Object.fromEntries(this.#flags),
      retries: this.#retries,
      durations: this.#durations.sparse(),
      durationSumMs: this.#durationSumMs,
    };
  }

  #flag(flag: string): void {
    this.#flags.set(flag, (this.#flags.get(flag) ?? 0) + 1);
  }
}

/** The tallies of one sidecar. */
export class Edges {
  readonly #tallies = new Map<string, EdgeTally>();

  /** The tally of these ends, made when it is new; beyond the limit, one that says `overflow`. */
  of(ends: EdgeEnds, protocol: EdgeCounts["protocol"]): EdgeTally {
    const key = `${protocol} ${ends.version} ${ends.mtls} ${ends.source} ${ends.destination}`;
    const known = this.#tallies.get(key);
    if (known !== undefined) return known;
    const isFull = this.#tallies.size >= maxEdges && ends.destination !== overflow;
    if (isFull) {
      return this.of({ ...ends, destination: overflow, version: "-", mtls: undefined }, protocol);
    }
    const tally = new EdgeTally(ends, protocol);
    this.#tallies.set(key, tally);
    return tally;
  }

  counts(): EdgeCounts[] {
    return [...this.#tallies.values()].map((tally) => tally.counts());
  }
}
