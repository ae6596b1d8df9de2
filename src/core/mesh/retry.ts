/**
 * Istio's retry policies: two more tries on failures that cannot have reached the application, unless told otherwise.
 */

import type { HttpRoute } from "../../api/istio/networking.ts";
import { durationMs } from "../../api/validate/duration.ts";
import type { RetryPolicy } from "../../model/proxy-config.ts";

const defaultAttempts = 2;
const defaultConditions: readonly string[] = [
  "connect-failure",
  "refused-stream",
  "unavailable",
  "cancelled",
  "retriable-status-codes",
];

/** Istio's: other localities, where they are of lower priority, get the third try and the fourth. */
const triesAtPriorities = 2;

/** Envoy's. */
const backoff = { baseBackoffMs: 25, maxBackoffMs: 250 };

/** Nothing where retries are off: `attempts: 0`, or a policy that names none. */
export function retryPolicy(written: HttpRoute["retries"]): { readonly retry?: RetryPolicy } {
  if (written === undefined) {
    const on = defaultConditions;
    const retriableStatusCodes = [503];
    return {
      retry: {
        attempts: defaultAttempts,
        perTryTimeoutMs: 0,
        on,
        retriableStatusCodes,
        ...backoff,
      },
    };
  }
  const attempts = written.attempts ?? 0;
  if (attempts <= 0) return {};
  return {
    retry: {
      attempts,
      perTryTimeoutMs: durationMs(written.perTryTimeout ?? "") ?? 0,
      ...conditions(written.retryOn),
      ...backoffOf(written.backoff),
      ...(written.retryIgnorePreviousHosts === false ? { mayRepeatHosts: true } : {}),
      ...(written.retryRemoteLocalities === true ? { triesAtPriorities } : {}),
    },
  };
}

/** The longest wait is ten times the first, as Envoy has it. */
function backoffOf(written: string | undefined): typeof backoff {
  const base = durationMs(written ?? "");
  return base === undefined ? backoff : { baseBackoffMs: base, maxBackoffMs: base * 10 };
}

/** `503` among the conditions is a status code to retry on. */
function conditions(written: string | undefined): Pick<RetryPolicy, "on" | "retriableStatusCodes"> {
  if (written === undefined || written === "") {
    return { on: defaultConditions, retriableStatusCodes: [503] };
  }
  const all = written.split(",").map((condition) => condition.trim());
  const codes = all.filter((condition) => /^[1-5][0-9][0-9]$/.test(condition)).map(Number);
  const on = all.filter((condition) => condition !== "" && !/^[0-9]+$/.test(condition));
  return {
    on: codes.length > 0 ? [...new Set([...on, "retriable-status-codes"])] : on,
    retriableStatusCodes: codes,
  };
}

/**
 * Of a sidecar towards its own application: only where the application closed a kept-alive connection before it took
 * the request (Istio's inbound default; without it every such close is a 503).
 */
export const inboundRetry: RetryPolicy = {
  attempts: 2,
  perTryTimeoutMs: 0,
  on: ["reset-before-request"],
  retriableStatusCodes: [],
  ...backoff,
};
