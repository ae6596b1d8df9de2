/** How attempts fail, and what a client is told then: Envoy's statuses, bodies and response flags. */

/** Envoy's letters; `-` is none. */
export type ResponseFlag =
  | "-"
  | "NR"
  | "NC"
  | "UH"
  | "UF"
  | "UC"
  | "UO"
  | "UT"
  | "URX"
  | "UPE"
  | "DC"
  | "DPE"
  | "FI"
  | "DI";

export type Failure =
  /** No connection: refused, timed out, or its TLS handshake failed. */
  | "connect-failure"
  /** The connection ended after the request was sent and before its answer was complete. */
  | "reset"
  /** The endpoint did not look at the request (HTTP/2 only). */
  | "refused"
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
}

const reset = "upstream connect error or disconnect/reset before headers. reset reason:";

const replies: Readonly<Record<Failure, LocalReply>> = {
  "connect-failure": { status: 503, flag: "UF", body: `${reset} connection failure` },
  reset: { status: 503, flag: "UC", body: `${reset} connection termination` },
  refused: { status: 503, flag: "UC", body: `${reset} remote refused stream reset` },
  overflow: { status: 503, flag: "UO", body: `${reset} overflow` },
  "no-host": { status: 503, flag: "UH", body: "no healthy upstream" },
  "per-try-timeout": { status: 504, flag: "UT", body: "upstream request timeout" },
  "protocol-error": { status: 502, flag: "UPE", body: `${reset} protocol error` },
};

export function replyFor(failure: Failure): LocalReply {
  return replies[failure];
}
