/**
 * One JSON line per TCP connection, when it is over, with the fields of requests' lines (filter/access-log.ts): what only
 * HTTP has is null, as in Istio's log. Off unless asked for.
 */

import type { Environment } from "../environment.ts";
import type { Peer } from "../peer.ts";
import type { ResponseFlag } from "../stack/outcome.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import type { Host } from "../upstream/host.ts";

/** What became of a connection. */
export interface TcpOutcome {
  readonly peer: Peer;
  /** By the environment's monotonic clock. */
  readonly startedAt: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly flag: ResponseFlag;
  /** Why it was not let in, in Envoy's words. */
  readonly details?: string;
  readonly cluster?: ClusterRuntime | undefined;
  /** The one that it was joined to. */
  readonly host?: Host | undefined;
}

export type TcpLog = (outcome: TcpOutcome) => void;

export function tcpAccessLog(write: (line: string) => void, environment: Environment): TcpLog {
  return ({ peer, startedAt, receivedBytes, sentBytes, flag, details, cluster, host }) => {
    const duration = Math.round(environment.now() - startedAt);
    write(
      JSON.stringify({
        start_time: new Date(environment.epochMs() - duration).toISOString(),
        method: null,
        path: null,
        protocol: null,
        response_code: 0,
        response_flags: flag,
        response_code_details: null,
        connection_termination_details: details ?? null,
        bytes_received: receivedBytes,
        bytes_sent: sentBytes,
        duration,
        x_forwarded_for: null,
        user_agent: null,
        request_id: null,
        trace_id: null,
        authority: null,
        upstream_host: host === undefined ? null : `${host.address}:${host.port}`,
        upstream_cluster: cluster?.name ?? null,
        downstream_remote_address: peer.sourceAddress,
        downstream_local_address: `${peer.destinationAddress}:${peer.destinationPort}`,
        downstream_peer: peer.principal ?? null,
        route_name: null,
        route_origin: null,
      }),
    );
  };
}
