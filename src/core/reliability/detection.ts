/**
 * How long until a bad endpoint is ejected, and what it costs until then.
 *
 * Each client (sidecar) counts for itself, so each must see its own k failures in a row: the sum of losses grows with
 * the number of clients, and the last client to notice determines when the service is whole again. Failures that are
 * slow (timeouts) delay detection by their own duration, and what was sent meanwhile is lost too.
 *
 * Not here: what happens after ejection (`flapping.ts`), and success-rate detection.
 */

import { count, inside, notNegative, positive, share } from "./domain.ts";
import { meanRequestsToRun, runTails } from "./failure-run.ts";

export interface BadEndpoint {
  /** Requests per second of one client to the service. */
  readonly clientRequestsPerSecond: number;
  /** Endpoints that the client spreads over, the bad one included. */
  readonly endpoints: number;
  /** Failures in a row that eject, Istio's consecutive5xxErrors. */
  readonly consecutive: number;
  /** Share of the bad endpoint's requests that fail: 1 (dead) unless told; above 0. */
  readonly failureShare?: number;
  /** Share of all requests that go to it; 1/endpoints unless told. More for a black hole under least-request. */
  readonly pickedShare?: number;
  /** How long a failing request takes, in ms; 0 unless told. */
  readonly failureMs?: number;
  /** Clients that each detect for themselves; 1 unless told. */
  readonly clients?: number;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Detection {
  readonly kind: "detected";
  /** From the first moment of failing until one client ejects it. */
  readonly meanMs: number;
  /** Holds that time with the asked probability, tails of equal size. */
  readonly intervalMs: Interval;
  /** Until the last of all clients has ejected it: median and interval. */
  readonly lastClientMs: number;
  readonly lastClientIntervalMs: Interval;
  /** Mean number of its requests that one client sees until then, failed or not. */
  readonly requestsSeen: number;
}

/** No run of that length is to be expected within an hour: watch the success rate instead. */
export interface Undetected {
  readonly kind: "undetected";
  /** Mean number of its requests until a run. */
  readonly requestsNeeded: number;
}

const longestUsefulMs = 3_600_000;
/** Beyond so many requests, and many times k, the wait for a run is exponential to within k/mean. */
const manyRequests = 5000;
const timesConsecutive = 50;

/**
 * Time to detect: requests to the endpoint are Poisson at r = λ/m; the number needed is that of `failure-run.ts`. Mean
 * E[N]/r + failure time; distribution Σ P(N > n)·Poisson(n; r·t), which for a dead endpoint is Erlang-k (the negative
 * binomial's continuous form): mean k·m/λ. Rates per second, times in ms; `certainty` above 0 and below 1, 0.9 unless
 * told. Sources: Feller I, §XIII.7; uniformisation: A. Jensen 1953, in W. Stewart 2009, §10.7.
 */
export function detection(bad: BadEndpoint, certainty = 0.9): Detection | Undetected {
  checkBad(bad);
  inside("the interval's certainty", certainty);
  const { consecutive, failureShare = 1, clients = 1, failureMs = 0 } = bad;
  const requestsSeen = meanRequestsToRun(failureShare, consecutive);
  const ratePerMs = (bad.clientRequestsPerSecond * pickedShare(bad)) / 1000;
  if (failureShare < 1 && requestsSeen / ratePerMs > longestUsefulMs)
    return { kind: "undetected", requestsNeeded: Math.min(requestsSeen, Number.MAX_VALUE) };
  const isMemoryless =
    failureShare < 1 && requestsSeen > Math.max(manyRequests, timesConsecutive * consecutive);
  const tails = isMemoryless ? [] : runTails(failureShare, consecutive, 1e-9, 1e6);
  const requestsBy = (p: number): number =>
    isMemoryless ? -Math.log1p(-p) * requestsSeen : quantileOfMixture(tails, p);
  const timeOf = (p: number): number => requestsBy(p) / ratePerMs + failureMs;
  const side = (1 - certainty) / 2;
  const last = (p: number): number => timeOf(p ** (1 / clients));
  return {
    kind: "detected",
    meanMs: requestsSeen / ratePerMs + failureMs,
    intervalMs: { low: timeOf(side), high: timeOf(1 - side) },
    lastClientMs: last(0.5),
    lastClientIntervalMs: { low: last(side), high: last(1 - side) },
    requestsSeen,
  };
}

export interface Losses {
  /** Attempts that fail at the bad endpoint until every client has ejected it. */
  readonly failedAttempts: number;
  /** Requests that fail for the callers, after retries. */
  readonly lostRequests: number;
  /** An interval for the lost requests, tails of equal size (normal approximation). */
  readonly lostInterval: Interval;
}

/**
 * Requests lost until all clients have ejected the endpoint, with n retries, each picking like a first attempt does (or
 * never the same host, `avoidsTried`, Envoy's previous_hosts).
 *
 * A dead endpoint costs each client k attempts, and those already under way: λ/m · failure time. Lost is a request
 * whose n + 1 attempts all hit it, counted exactly over the k attempts; for a gray one, in the proportion that holds
 * over many requests, fⁿ(1−f)/(1−fⁿ⁺¹) per failed attempt, f = q/m.
 */
export function losses(
  bad: BadEndpoint,
  retries = 0,
  avoidsTried = false,
  certainty = 0.9,
): Losses {
  checkBad(bad);
  count("the number of retries", retries, 0);
  inside("the interval's certainty", certainty);
  const { consecutive, failureShare = 1, clients = 1, failureMs = 0 } = bad;
  const picked = pickedShare(bad);
  const perClient = meanRequestsToRun(failureShare, consecutive) * failureShare;
  const meanwhile = (bad.clientRequestsPerSecond * picked * failureMs * failureShare) / 1000;
  const failedAttempts = clients * (perClient + meanwhile);
  const again = avoidsTried && bad.endpoints > 1 ? 0 : picked * failureShare;
  const perFailure = lostPerFailedAttempt(again, retries);
  const counted =
    failureShare === 1 ? lostWhileCounting(consecutive, again, retries) : perClient * perFailure;
  const lostRequests = clients * (counted + meanwhile * perFailure);
  // Which requests hit is a matter of chance; the k of a dead endpoint without retries are not.
  const certainPart = failureShare === 1 && retries === 0 ? clients * consecutive : 0;
  const spread =
    normalQuantile((1 + certainty) / 2) * Math.sqrt(Math.max(0, lostRequests - certainPart));
  return {
    failedAttempts,
    lostRequests,
    lostInterval: {
      low: Math.max(certainPart, lostRequests - spread),
      high: lostRequests + spread,
    },
  };
}

/** Mean number of requests lost per failed attempt; a further attempt of the same request fails with share f. */
function lostPerFailedAttempt(f: number, retries: number): number {
  if (retries === 0) return 1;
  if (f === 1) return 1 / (retries + 1);
  return (f ** retries * (1 - f)) / (1 - f ** (retries + 1));
}

/** Requests lost until k attempts have failed, one after the other; ejected by then, a retry no longer meets it. */
function lostWhileCounting(k: number, f: number, retries: number): number {
  const lostFrom = new Array<number>(k + 1).fill(0); // by failures counted so far, at a request that fails first
  for (let seen = k - 1; seen >= 0; seen--) {
    let expected = 0;
    let reached = 1; // P(so many attempts of this request fail)
    for (let attempt = 1; attempt <= retries + 1 && seen + attempt <= k; attempt++) {
      const isLast = attempt === retries + 1;
      const stops = isLast || seen + attempt === k ? 1 : 1 - f;
      expected += reached * stops * ((isLast ? 1 : 0) + (lostFrom[seen + attempt] ?? 0));
      reached *= f;
    }
    lostFrom[seen] = expected;
  }
  return lostFrom[0] ?? 0;
}

function pickedShare(bad: BadEndpoint): number {
  return bad.pickedShare ?? 1 / bad.endpoints;
}

function checkBad(bad: BadEndpoint): void {
  positive("the client's requests per second", bad.clientRequestsPerSecond);
  count("the number of endpoints", bad.endpoints, 1);
  count("the number of consecutive failures", bad.consecutive, 1);
  positive("the share of requests that fail", bad.failureShare ?? 1);
  share("the share of requests that fail", bad.failureShare ?? 1);
  positive("the share of requests that pick the endpoint", pickedShare(bad));
  share("the share of requests that pick the endpoint", pickedShare(bad));
  notNegative("the duration of a failing request in ms", bad.failureMs ?? 0);
  count("the number of clients", bad.clients ?? 1, 1);
}

/** The time, in mean gaps between requests, by which the run is complete with probability p. */
function quantileOfMixture(tails: readonly number[], p: number): number {
  let low = 0;
  let high = 1;
  while (mixtureTail(tails, high) > 1 - p) high *= 2;
  while (high - low > 1e-9 * high) {
    const middle = (low + high) / 2;
    if (mixtureTail(tails, middle) > 1 - p) low = middle;
    else high = middle;
  }
  return high;
}

/** Σ tails[n]·Poisson(n; mean), summed outwards from the mode so that nothing underflows. */
function mixtureTail(tails: readonly number[], mean: number): number {
  const mode = Math.floor(mean);
  let up = 1;
  let down = 1;
  let weights = 1;
  let sum = tails[mode] ?? 0;
  for (let n = mode + 1; up > 1e-16; n++) {
    up *= mean / n;
    weights += up;
    sum += up * (tails[n] ?? 0);
  }
  for (let n = mode; n > 0 && down > 1e-16; n--) {
    down *= n / mean;
    weights += down;
    sum += down * (tails[n - 1] ?? 0);
  }
  return sum / weights;
}

/** P. J. Acklam's would be more exact; Abramowitz and Stegun 26.2.23 is good to 4.5e-4, plenty for an interval. */
function normalQuantile(p: number): number {
  const t = Math.sqrt(-2 * Math.log(1 - p));
  const top = 2.515517 + t * (0.802853 + t * 0.010328);
  return t - top / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
}
