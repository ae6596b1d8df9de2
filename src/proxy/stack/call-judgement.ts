/**
 * What the answer to a call of gRPC says of the endpoint that gave it: its status, in the terms of HTTP's.
 *
 * That comes last, in trailers, or in the head where there is nothing else. An answer that is over without one has
 * failed, whatever its head says: the caller takes it for UNKNOWN. Envoy's outlier detection goes by heads alone, and
 * takes a failure that trailers tell for a success.
 *
 * Not here: answers that break off (`Exchange.onFailure`).
 */

import { lineValue } from "../../wire/http2/lines.ts";
import { findField } from "../codec/heads.ts";
import type { Exchange } from "./exchange.ts";
import type { Head } from "./head.ts";

export function judgeCallByHead(
  exchange: Exchange,
  head: Head,
  text: string,
  isDone: boolean,
): void {
  exchange.owesGrpcStatus = head.status === 200 && !isDone;
  if (isDone) exchange.noteGrpcStatus(findField(head, text, "grpc-status"));
  if (!exchange.owesGrpcStatus) report(exchange, head.status);
}

/** While the exchange still has its upstream. */
export function judgeCallByEnd(exchange: Exchange, trailers: string): void {
  if (trailers !== "") exchange.noteGrpcStatus(lineValue(trailers, "grpc-status"));
  const { owesGrpcStatus, rival, upstream, status } = exchange;
  if (!owesGrpcStatus || rival !== undefined) return; // a rival that has won has told its host itself
  // Of trailers in chunks of HTTP/1.1 only the client's side knows.
  if (trailers !== "" || upstream?.isHttp2 === true) report(exchange, status);
}

function report(exchange: Exchange, status: number): void {
  const isUntold = status === 200 && exchange.grpcStatus === "";
  exchange.host?.report(isUntold ? 500 : exchange.outcome(status));
}
