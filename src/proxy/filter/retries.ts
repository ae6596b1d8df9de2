/**
 * Retries by Envoy's names: which outcomes are worth another try, on another host where there is one.
 *
 * The budget is the cluster's (`ClusterLoad.mayRetry`). The body is kept up to 64 KiB so that it can be sent again; a
 * longer one is sent once. Waits grow from `baseBackoffMs`, with full jitter, so that clients do not retry in step.
 *
 * Not here: what is sent again whatever the policy, at once and outside the budget (stack/tries.ts).
 */

import type { RetryPolicy } from "../../model/proxy-config.ts";
import { findField } from "../codec/heads.ts";
import type { Environment } from "../environment.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";
import type { Head } from "../stack/head.ts";
import { type Failure, overloadedName } from "../stack/outcome.ts";
import type { RetryDecision } from "../stack/tries.ts";
import { Timeout } from "../timer-wheel.ts";

const rateLimitedName = "x-envoy-ratelimited";

/** gRPC statuses by the names that retry-on uses. */
const grpcStatuses: Readonly<Record<string, string>> = {
  cancelled: "1",
  "deadline-exceeded": "4",
  "resource-exhausted": "8",
  internal: "13",
  unavailable: "14",
};

/** Conditions that are over before the request is on its way; for them alone a body need not be kept. */
const beforeSending: ReadonlySet<string> = new Set(["connect-failure", "reset-before-request"]);

export function retries(policy: RetryPolicy, environment: Environment): Filter {
  const decision = new Retries(policy, environment);
  return (next) => (exchange) => {
    exchange.retries = decision;
    if (decision.needsBody) exchange.keepBody();
    if (policy.perTryTimeoutMs > 0) limitTries(exchange, policy.perTryTimeoutMs);
    next(exchange);
  };
}

/** From now on each try waits no longer than this for its answer. */
export function limitTries(exchange: Exchange, ms: number): void {
  exchange.tries.limitMs = ms;
  exchange.tries.limit = new Timeout(() => {
    // A try whose answer has begun is not cut off: only the wait for it is limited.
    if (exchange.hasResponse) return;
    exchange.giveUpTry("per-try-timeout");
  });
}

class Retries implements RetryDecision {
  readonly #policy: RetryPolicy;
  readonly #environment: Environment;
  /** Whether something is retried that happens after the body was sent. */
  readonly needsBody: boolean;
  readonly #on: ReadonlySet<string>;
  readonly #statuses: ReadonlySet<number>;
  readonly #grpc: ReadonlySet<string>;

  constructor(policy: RetryPolicy, environment: Environment) {
    this.#policy = policy;
    this.#environment = environment;
    this.#on = new Set(policy.on);
    this.needsBody = policy.on.some((name) => !beforeSending.has(name));
    this.#statuses = new Set(policy.retriableStatusCodes);
    this.#grpc = new Set(policy.on.flatMap((name) => grpcStatuses[name] ?? []));
  }

  afterFailure(exchange: Exchange, failure: Failure): boolean {
    // What no endpoint was given multiplies nobody's load: it is in a budget only where somebody asks for one.
    const isFree =
      failure === "connect-failure" && exchange.cluster?.load.hasDefaultBudget === true;
    return this.#isFailureRetried(failure) && this.#retry(exchange, isFree);
  }

  afterHead(exchange: Exchange, head: Head, text: string): boolean {
    const asksForLimited = this.#on.has("envoy-ratelimited");
    const isRetried = this.#isAnswerRetried(head, text);
    if (!isRetried && !asksForLimited) return false;
    // As Envoy has it: who is over a limit does not ask again, unless the policy says just that.
    const isLimited = findField(head, text, rateLimitedName) !== undefined;
    if (isLimited ? !asksForLimited : !isRetried) return false;
    // Further on a circuit breaker is open: Envoy's proxies do not try again either.
    return findField(head, text, overloadedName) === undefined && this.#retry(exchange);
  }

  #isFailureRetried(failure: Failure): boolean {
    const on = this.#on;
    switch (failure) {
      case "connect-failure":
        return (
          on.has("connect-failure") ||
          on.has("5xx") ||
          on.has("gateway-error") ||
          on.has("reset") ||
          on.has("reset-before-request")
        );
      case "refused":
        return (
          on.has("refused-stream") || on.has("reset") || on.has("5xx") || on.has("gateway-error")
        );
      case "reset":
      case "stream-reset":
      case "cancelled":
      case "protocol-error":
      case "per-try-timeout":
        return on.has("reset") || on.has("5xx") || on.has("gateway-error");
      case "overflow":
      case "no-host":
        return false; // Envoy: trying again at once would only find the same
    }
  }

  #isAnswerRetried(head: Head, text: string): boolean {
    const { status } = head;
    const on = this.#on;
    if (status >= 500 && on.has("5xx")) return true;
    if (status >= 502 && status <= 504 && on.has("gateway-error")) return true;
    if (status === 409 && on.has("retriable-4xx")) return true;
    if (on.has("retriable-status-codes") && this.#statuses.has(status)) return true;
    if (this.#grpc.size === 0) return false;
    const grpc = findField(head, text, "grpc-status");
    return grpc !== undefined && this.#grpc.has(grpc);
  }

  /** `isFree`: whatever the budget. */
  #retry(exchange: Exchange, isFree = false): boolean {
    const { cluster, attempt } = exchange;
    if (cluster === undefined || attempt === undefined) return false;
    if (exchange.attempts > this.#policy.attempts) {
      exchange.retryRefusal = "URX";
      return false;
    }
    if (!exchange.canReplay) return false;
    if (!isFree && !cluster.load.mayRetry()) {
      exchange.retryRefusal = "UO";
      return false;
    }
    if (exchange.host !== undefined && this.#policy.mayRepeatHosts !== true) {
      exchange.tries.hosts ??= [];
      exchange.tries.hosts.push(exchange.host);
    }
    this.#leaveOutPriorities(exchange);
    exchange.endTry();
    cluster.load.retriesTotal++;
    if (!isFree) {
      cluster.load.activeRetries++;
      exchange.tries.isRetry = true;
    }
    const { baseBackoffMs, maxBackoffMs } = this.#policy;
    const ceiling = Math.min(maxBackoffMs, baseBackoffMs * (2 ** exchange.attempts - 1));
    const wait = ceiling * this.#environment.random();
    const timer = new Timeout(() => {
      if (!exchange.isOver && !exchange.hasResponse) attempt(exchange);
    });
    exchange.atEnd(() => this.#environment.wheel.cancel(timer));
    this.#environment.wheel.arm(timer, wait);
    return true;
  }

  /** Envoy's previous priorities. Those of tries in between are remembered until the next time. */
  #leaveOutPriorities({ tries, host }: Exchange): void {
    const { triesAtPriorities } = this.#policy;
    if (triesAtPriorities === undefined || host === undefined) return;
    tries.triedPriorities ??= new Set();
    tries.triedPriorities.add(host.priority);
    if (tries.count % triesAtPriorities === 0) tries.priorities = new Set(tries.triedPriorities);
  }
}
