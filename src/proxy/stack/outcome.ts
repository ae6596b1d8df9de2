/** How attempts fail, and what a client is told then: Envoy's statuses, bodies and response flags. */

/** Envoy's letters for what went otherwise than between client and endpoint. */
export type ResponseFlag =
  | "-" // nothing
  | "NR" // no route
  | "NC" // the route's cluster is not there
  | "UH" // no endpoint that may be used
  | "UF" // no connection to the endpoint
  | "UC" // the endpoint's connection ended too early
  | "UR" // the endpoint broke the stream off
  | "UO" // a circuit breaker of the cluster is open
  | "OM" // the sidecar has taken on all that it may
  | "UT" // the route's time, or a try's, was over
  | "URX" // no tries are left
  | "RL" // over a rate limit
  | "UPE" // the endpoint's answer was not understood
  | "DC" // the client left
  | "DPE" // what the client sent was not understood
  | "FI" // aborted on purpose
  | "DI,FI"
  | "DI"; // delayed on purpose

export type Failure =
  /** No connection: refused, timed out, or its TLS handshake failed. */
  | "connect-failure"
  /** The connection ended after the request was sent and before its answer was complete. */
  | "reset"
  /** The endpoint broke the request off, and not the connection (HTTP/2 only). */
  | "stream-reset"
  /** The endpoint did not look at the request (HTTP/2 only). */
  | "refused"
  /** The endpoint does not go on with it (HTTP/2 only), mostly since its deadline is over. */
  | "cancelled"
  /** A circuit breaker is open. */
  | "overflow"
  /** The cluster has no endpoint that may be used. */
  | "no-host"
  /** One try took longer than it may. */
  | "per-try-timeout"
  /** The answer was not HTTP. */
  | "protocol-error";

export interface LocalReply {
  readonly status: number;
  readonly flag: ResponseFlag;
  readonly body: string;
  /** Complete lines. */
  readonly fields?: string;
}

/** With it an answer says that a circuit breaker refused the request, so that no proxy on the way back tries again. */
export const overloadedName = "x-envoy-overloaded";

/** Why a connection failed, in Envoy's words. */
const resets: Readonly<Record<Exclude<Failure, "no-host" | "per-try-timeout">, string>> = {
  "connect-failure": "remote connection failure",
  reset: "connection termination",
  "stream-reset": "remote reset",
  refused: "remote refused stream reset",
  cancelled: "remote reset",
  overflow: "overflow",
  "protocol-error": "protocol error",
};

const replies: Readonly<Record<Failure, Omit<LocalReply, "body">>> = {
  "connect-failure": { status: 503, flag: "UF" },
  reset: { status: 503, flag: "UC" },
  "stream-reset": { status: 503, flag: "UR" },
  refused: { status: 503, flag: "UR" },
  cancelled: { status: 503, flag: "UR" },
  overflow: { status: 503, flag: "UO", fields: `${overloadedName}: true\r\n` },
  "no-host": { status: 503, flag: "UH" },
  "per-try-timeout": { status: 504, flag: "UT" },
  "protocol-error": { status: 502, flag: "UPE" },
};

/** Answers of these statuses have no body, whatever the method, and claim none (RFC 9110 §8.6). */
export function isBodyless(status: number): boolean {
  return status === 204 || status === 304;
}

export function replyFor(failure: Failure, hasRetried = false): LocalReply {
  return { ...replies[failure], body: bodyFor(failure, hasRetried) };
}

function bodyFor(failure: Failure, hasRetried: boolean): string {
  if (failure === "no-host") return "no healthy upstream";
  if (failure === "per-try-timeout") return "upstream request timeout";
  const reason = hasRetried ? "retried and the latest reset reason" : "reset reason";
  return `upstream connect error or disconnect/reset before headers. ${reason}: ${resets[failure]}`;
}
