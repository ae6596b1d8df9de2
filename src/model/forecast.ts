/**
 * What the server predicts and what it then saw: the answer of `GET /heddle/v1/forecast/NAMESPACE/NAME`.
 *
 * Where there is nothing to predict from, or what is asked has no bound, the answer is a sentence (`unknown`,
 * `unbounded`), never NaN. Times are ms, rates per second, shares 0 … 1.
 *
 * Not here: how it is computed (core/forecast), formulas (core/queueing, core/reliability).
 */

/** Quantiles of the response time. */
export interface ForecastLatency {
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
}

/** Predicted beside measured, for one past window. */
export interface Judged {
  readonly at: number;
  readonly requestsPerSecond: number;
  readonly predicted: ForecastLatency;
  readonly measured: ForecastLatency;
}

export interface CurvePoint {
  readonly requestsPerSecond: number;
  readonly utilisation?: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What was fitted from live traffic. */
export interface FittedService {
  readonly model: string;
  readonly replicas: number;
  /** Whose latency it is: what callers' sidecars see, or, where no caller has one, what the service's own see. */
  readonly seenBy: "callers" | "service";
  /** Requests that one replica serves at a time. Absent: more than were ever under way, no queue was seen. */
  readonly workers?: number;
  readonly requestsPerSecond: number;
  readonly serviceMs: number;
  readonly serviceScv: number;
  readonly arrivalScv: number;
  readonly overheadMs: number;
  /** Share of time that one worker is busy; absent where their number is. */
  readonly utilisation?: number;
  readonly requests: number;
  readonly windowSeconds: number;
}

/** What the sudden death of one endpoint would cost, or did. */
export interface RecoveryForecast {
  /** From the first attempt that fails until every caller has ejected the endpoint: the mean. */
  readonly detectMs: number;
  readonly detectIntervalMs: readonly [low: number, high: number];
  /** Requests that fail for the callers, after retries: the mean. */
  readonly lostRequests: number;
  readonly lostInterval: readonly [low: number, high: number];
  /** Share of the time in which so sure an interval holds. */
  readonly certainty: number;
  /** In words: `5 consecutive errors eject for 30 s; 2 retries`. */
  readonly basis: string;
}

/** A loss of an endpoint that happened, beside what had been predicted just before. */
export interface RecoveryJudged {
  readonly at: number;
  readonly endpoint: string;
  readonly predicted: RecoveryForecast;
  readonly measured: { readonly recoverMs: number; readonly lostRequests: number };
}

export interface Forecast {
  readonly service: string;
  readonly at: number;
  /** A sentence that says what is missing; nothing else is known then. */
  readonly unknown?: string;
  /** What else there is to know of the numbers, a sentence each. */
  readonly notes: readonly string[];
  readonly fitted?: FittedService;
  /** At the load and number of replicas that were asked for. */
  readonly asked?: {
    readonly requestsPerSecond: number;
    readonly replicas: number;
    readonly utilisation?: number;
    readonly latency?: ForecastLatency;
    /** A sentence: why there is no latency to state. */
    readonly unbounded?: string;
  };
  /** Predicted latency over load, for the asked number of replicas; ends before saturation. */
  readonly curve: readonly CurvePoint[];
  /** Load at which p99 is twice what it is unloaded. */
  readonly kneeRequestsPerSecond?: number;
  readonly saturationRequestsPerSecond?: number;
  /** Fewest replicas that keep p99 below twice its unloaded value at the asked load. */
  readonly replicasNeeded?: number;
  readonly withoutOneReplica?: { readonly latency?: ForecastLatency; readonly unbounded?: string };
  /** The live point: measured in the last window. */
  readonly live?: { readonly requestsPerSecond: number; readonly latency: ForecastLatency };
  /** Predictions made from one window and judged on the next, newest last. */
  readonly judged: readonly Judged[];
  /** Mean of |predicted − measured| / measured over `judged`. */
  readonly errors?: { readonly p50Share: number; readonly p99Share: number };
  readonly recovery?: RecoveryForecast;
  readonly recoveries: readonly RecoveryJudged[];
}
