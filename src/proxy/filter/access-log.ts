/**
 * One JSON line per request, in the words of Istio's JSON access log. Off unless asked for.
 *
 * What the request says of itself is noted when it comes: its bytes are gone when it ends. Bytes are those of bodies,
 * with the marks of their chunks.
 */

import type { Environment } from "../environment.ts";
import type { Filter } from "../stack/handler.ts";

export function accessLog(write: (line: string) => void, environment: Environment): Filter {
  return (next) => (exchange) => {
    const { method, path, query, authority, peer, remoteAddress } = exchange;
    const { protocol } = exchange;
    const userAgent = exchange.field("user-agent");
    const requestId = exchange.field("x-request-id");
    const forwardedFor = exchange.field("x-forwarded-for");
    const startedAt = environment.epochMs();
    exchange.atEnd((over) => {
      write(
        JSON.stringify({
          start_time: new Date(startedAt).toISOString(),
          method,
          path: path + query,
          protocol,
          response_code: over.status,
          response_flags: over.flag,
          response_code_details: over.details,
          bytes_received: over.requestBytes - over.headBytes,
          bytes_sent: over.responseBytes - over.responseHeadBytes,
          duration: Math.round(over.endedAt - over.startedAt),
          x_forwarded_for: forwardedFor ?? null,
          user_agent: userAgent ?? null,
          request_id: requestId ?? over.givenRequestId ?? null,
          trace_id: over.trace?.traceId ?? null,
          authority,
          upstream_host: over.host === undefined ? null : `${over.host.address}:${over.host.port}`,
          upstream_cluster: over.cluster?.name ?? null,
          downstream_remote_address: remoteAddress,
          downstream_local_address: `${peer.destinationAddress}:${peer.destinationPort}`,
          downstream_peer: peer.principal ?? null,
          route_name: over.route?.name ?? null,
          route_origin: over.route?.origin ?? null,
        }),
      );
    });
    next(exchange);
  };
}
