/** What every part of one sidecar shares: time, chance, its own name, its log and its counters. */

import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { ProxyNode } from "../model/proxy-config.ts";
import type { MetricRegistry } from "../telemetry/registry.ts";
import type { CompressorShare } from "./compressor-pool.ts";
import type { Losses } from "./observe/losses.ts";
import type { Overload } from "./overload.ts";
import type { PodSockets } from "./pod-sockets.ts";
import type { TimerWheel } from "./timer-wheel.ts";
import type { TokenBuckets } from "./token-buckets.ts";
import type { Names } from "./upstream/names/names.ts";

/** Who speaks TLS inside the mesh: OpenSSL and records of our own, on plain sockets (docs/adr/0014, 0019), or Node, as outside. */
export type MeshTls = "openssl" | "node";

export interface Environment {
  /** Monotonic milliseconds, for durations and timeouts. */
  readonly now: () => number;
  /** Milliseconds since the epoch, for logs. */
  readonly epochMs: () => number;
  readonly random: Random;
  /** Tells this start of the sidecar from every other. */
  readonly start: string;
  /** Ms since the epoch. */
  readonly startedAt: number;
  readonly log: Log;
  readonly wheel: TimerWheel;
  readonly metrics: MetricRegistry;
  readonly losses: Losses;
  readonly buckets: TokenBuckets;
  readonly overload: Overload;
  readonly compressors: CompressorShare;
  /** What clusters' endpoints that are names lead to. */
  readonly names: Names;
  /** Whether the peer has closed the connection behind this descriptor, also where that was not read yet. */
  readonly isHungUp: (descriptor: number) => boolean;
  readonly node: ProxyNode;
  readonly trustDomain: string;
  readonly meshTls: MeshTls;
  readonly sockets: PodSockets;
  readonly limits: ProxyLimits;
  /** True once the sidecar is being stopped: every answer closes its connection. */
  isDraining: boolean;
}

export interface ProxyLimits {
  /** Captured connections at a time; more are refused. */
  readonly maxConnections: number;
  /** Requests under way at a time, upgraded connections included; more are refused. */
  readonly maxRequests: number;
  /** TLS handshakes that clients have begun; each costs more than a request. */
  readonly maxHandshakes: number;
  /** How long a handshake keeps its place where others wait for one. */
  readonly handshakeMs: number;
  /** Bytes held for peers that do not take them, by all connections together. */
  readonly maxHeldBytes: number;
  /** How long that many are borne before the connections that hold the most are closed. */
  readonly shedAfterMs: number;
  /**
   * A request head, or a TLS handshake (whose place nobody wants), that takes longer is cut off: slow senders must not
   * hold memory.
   */
  readonly headerTimeoutMs: number;
  /** A downstream connection without a request is closed after this long. Envoy's default. */
  readonly downstreamIdleMs: number;
  /** A pooled upstream connection without a request is closed after this long. */
  readonly upstreamIdleMs: number;
  /** How long protocol detection waits for the client to speak first, once per server-first destination. */
  readonly detectionTimeoutMs: number;
  /** How long a sidecar that was taken over goes on with the connections it has. */
  readonly retireMs: number;
  /** How long a stopping sidecar waits for what is in flight. Istio's termination drain. */
  readonly drainMs: number;
}

export const defaultProxyLimits: ProxyLimits = {
  maxConnections: 16_384,
  maxRequests: 16_384, // one for each connection of HTTP/1.1
  maxHandshakes: 512, // half a second's worth
  handshakeMs: 1_000, // ten round trips to the other side of the world
  maxHeldBytes: 256 * 2 ** 20, // with the 100 MiB that a sidecar has anyway, well below Istio's limit of 1 GiB
  shedAfterMs: 2_000,
  headerTimeoutMs: 30_000,
  downstreamIdleMs: 3_600_000,
  upstreamIdleMs: 60_000,
  detectionTimeoutMs: 2_000,
  retireMs: 600_000, // Envoy's drain time at a hot restart
  drainMs: 5_000,
};
