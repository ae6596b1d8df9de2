/**
 * What an endpoint is told of how long it is waited for: in `x-envoy-expected-rq-timeout-ms`, and a call of gRPC in
 * `grpc-timeout`, so that its application stops, and tells others, when nobody listens any more.
 *
 * As Envoy has it with the settings that Istio gives it: a caller's own time stands, but for what the route's timeout or a
 * try's leaves of it; a call that names none gets one. A later try of a call is told what is left. Microseconds and
 * nanoseconds are no time for a proxy: a call that has less than one millisecond is told one.
 */

import type { RouteAction } from "../../model/proxy-config.ts";
import type { Exchange } from "../stack/exchange.ts";

type Forward = Extract<RouteAction, { kind: "forward" }>;

const callField = "grpc-timeout";

export interface ToldWait {
  /** Complete lines. */
  readonly lines: string;
  /** The caller's own time is not what its endpoint is to see. */
  readonly replacesCallers: boolean;
}

/** What requests of a route say that are no calls of gRPC. */
export function expectedWait(action: Forward): string {
  const { limitMs } = limitsOf(action);
  return limitMs === Infinity ? "" : expected(limitMs);
}

/** What a call says. `edited`: fields that the user has something else to say in. */
export function waitOfCalls(
  action: Forward,
): (exchange: Exchange, edited: ReadonlySet<string> | undefined) => ToldWait {
  const { routeMs, limitMs } = limitsOf(action);
  return (exchange, edited) => {
    const callersMs = exchange.grpcTimeoutMs ?? Infinity;
    if (limitMs >= callersMs || edited?.has(callField) === true) {
      const ms = Math.min(limitMs, callersMs);
      return { lines: ms === Infinity ? "" : expected(ms), replacesCallers: false };
    }
    // Where the endpoint's timer is faster than ours, it is known by this whose time was over.
    if (routeMs < callersMs) exchange.grpcTimeoutMs = routeMs;
    return { lines: expected(limitMs) + ofGrpc(limitMs), replacesCallers: true };
  };
}

function limitsOf({ timeoutMs, retry }: Forward): { routeMs: number; limitMs: number } {
  const routeMs = timeoutMs > 0 ? timeoutMs : Infinity;
  const tryMs = retry !== undefined && retry.perTryTimeoutMs > 0 ? retry.perTryTimeoutMs : Infinity;
  return { routeMs, limitMs: Math.min(routeMs, tryMs) };
}

/** The head of a later try, which has what is left of its call's time. */
export function withLessWait(exchange: Exchange): string {
  const { outgoing, grpcTimeoutMs, startedAt, downstream } = exchange;
  if (grpcTimeoutMs === undefined) return outgoing;
  const leftMs = grpcTimeoutMs - (downstream.environment.now() - startedAt);
  const toldMs = Number(/^x-envoy-expected-rq-timeout-ms: (\d+)/m.exec(outgoing)?.[1] ?? Infinity);
  if (leftMs >= toldMs) return outgoing;
  return outgoing
    .replace(/^x-envoy-expected-rq-timeout-ms: \d+\r\n/m, expected(leftMs))
    .replace(/^grpc-timeout: [^\r]*\r\n/m, ofGrpc(leftMs));
}

function expected(ms: number): string {
  return `x-envoy-expected-rq-timeout-ms: ${whole(ms)}\r\n`;
}

/** At most eight digits may stand there. */
function ofGrpc(ms: number): string {
  const text = ms < 1e8 ? `${whole(ms)}m` : `${Math.min(99_999_999, Math.floor(ms / 1000))}S`;
  return `${callField}: ${text}\r\n`;
}

function whole(ms: number): number {
  return Math.max(1, Math.ceil(ms));
}
