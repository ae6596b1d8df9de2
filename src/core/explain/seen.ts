/**
 * How an application notices a refusal: it depends on who speaks for it, the kernel or its sidecar, and on whether the
 * sidecar understands what is said.
 */

import type { RouteAction } from "../../model/proxy-config.ts";
import type { Seen } from "./explanation.ts";

/** Who makes the connection that may be refused. */
export type Via =
  | { readonly kind: "kernel" }
  | { readonly kind: "sidecar-tcp" }
  /** Mesh TLS of a client that is not known here passes through a gateway unopened. */
  | { readonly kind: "passed-tls" }
  | { readonly kind: "sidecar-http"; readonly action?: RouteAction };

/** Packets vanish. The sidecar has accepted the connection by then, so it is the answer that never comes. */
export function seenDropped(via: Via): Seen {
  if (via.kind !== "sidecar-http") return { kind: "times out" };
  const { action } = via;
  const isLimited =
    action?.kind === "forward" &&
    (action.timeoutMs > 0 || (action.retry?.perTryTimeoutMs ?? 0) > 0);
  return isLimited
    ? { kind: "times out", status: 504, flag: "UT" }
    : { kind: "times out", status: 503, flag: "UF" };
}

/** The other end takes the connection and ends it. */
export function seenClosed(via: Via): Seen {
  return via.kind === "sidecar-http"
    ? { kind: "status", status: 503, flag: "UC" }
    : { kind: "connection closed" };
}

/** The other end cannot be spoken to in the way that was asked for. */
export function seenConnectFailure(via: Via): Seen {
  return via.kind === "sidecar-http"
    ? { kind: "status", status: 503, flag: "UF" }
    : { kind: "connection closed" };
}

export function seenNoEndpoint(via: Via): Seen {
  switch (via.kind) {
    case "kernel":
      return { kind: "connection refused" };
    case "sidecar-tcp":
    case "passed-tls":
      return { kind: "connection closed" };
    case "sidecar-http":
      return { kind: "status", status: 503, flag: "UH" };
  }
}

export function seenNoCluster(via: Via): Seen {
  return via.kind === "sidecar-http"
    ? { kind: "status", status: 503, flag: "NC" }
    : { kind: "connection closed" };
}

/** In words: `times out`, `503 UH`. */
export function renderSeen(seen: Seen): string {
  switch (seen.kind) {
    case "status":
      return `${seen.status}${seen.flag === undefined ? "" : ` ${seen.flag}`}`;
    case "times out":
      return seen.status === undefined
        ? "times out"
        : `times out (${seen.status} ${seen.flag} once the sidecar gives up)`;
    case "no such name":
    case "connection refused":
    case "connection closed":
      return seen.kind;
  }
}
