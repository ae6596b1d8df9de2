/**
 * Puts one sidecar together: everything that it counts, knows and limits is its own, whoever else is in the process.
 */

import { performance } from "node:perf_hooks";
import type { Clock } from "../base/clock.ts";
import { isIpv6 } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { nameServers } from "../model/names.ts";
import type { NameServerAddress } from "../rpc/dns-query.ts";
import { MetricRegistry } from "../telemetry/registry.ts";
import type { ProxyBootstrap } from "./assignment.ts";
import { CompressorPool } from "./compressor-pool.ts";
import {
  defaultProxyLimits,
  type Environment,
  type MeshTls,
  type ProxyLimits,
} from "./environment.ts";
import type { OriginalDestination } from "./listen/runtime.ts";
import { Losses } from "./observe/losses.ts";
import { Overload } from "./overload.ts";
import { ownNetwork, type PodSockets } from "./pod-sockets.ts";
import { Sidecar } from "./sidecar.ts";
import { TimerWheel } from "./timer-wheel.ts";
import { TokenBuckets } from "./token-buckets.ts";
import { lookUpAt } from "./upstream/names/look-up.ts";
import { Names } from "./upstream/names/names.ts";

export interface SidecarParts {
  readonly originalDestination: OriginalDestination;
  readonly isHungUp: Environment["isHungUp"];
  readonly log: Log;
  readonly clock: Clock;
  /** Monotonic milliseconds; the machine's unless given. */
  readonly now?: () => number;
  readonly random: Random;
  readonly limits?: Partial<ProxyLimits>;
  /** Shared with the other sidecars of the process; absent: it has the process to itself. */
  readonly compressors?: CompressorPool;
  /** Asked for names of endpoints; absent: the node's. */
  readonly nameServer?: NameServerAddress;
  /** OpenSSL unless given. */
  readonly meshTls?: MeshTls;
  /** Where access log lines go; undefined: none are written. */
  readonly accessLog?: (line: string) => void;
}

/** A sidecar for this bootstrap; nothing listens until its first snapshot. */
export function createSidecar(
  deps: SidecarParts,
  bootstrap: Pick<ProxyBootstrap, "proxy" | "trustDomain">,
  sockets: PodSockets = ownNetwork,
): Sidecar {
  const now = deps.now ?? (() => performance.now()); // the import's: the global is a getter, and each request asks twice
  const wheel = new TimerWheel(now);
  const limits = { ...defaultProxyLimits, ...deps.limits };
  const log = deps.log.with({ pod: `${bootstrap.proxy.namespace}/${bootstrap.proxy.pod}` });
  const family = isIpv6(bootstrap.proxy.address) ? "IPv6" : "IPv4";
  const server = {
    ...(deps.nameServer ?? { address: nameServers[family], port: 53 }),
    opening: sockets.connecting,
  };
  const environment: Environment = {
    now,
    epochMs: () => deps.clock.now(),
    random: deps.random,
    start: deps.random().toString(36).slice(2),
    startedAt: deps.clock.now(),
    log,
    wheel,
    metrics: new MetricRegistry(),
    losses: new Losses(),
    buckets: new TokenBuckets(now),
    overload: new Overload(limits, wheel, now),
    compressors: (deps.compressors ?? new CompressorPool()).share(),
    names: new Names({ lookUp: lookUpAt(server, family), random: deps.random, log }),
    isHungUp: deps.isHungUp,
    node: bootstrap.proxy,
    trustDomain: bootstrap.trustDomain,
    meshTls: deps.meshTls ?? "openssl",
    sockets,
    limits,
    isDraining: false,
  };
  return new Sidecar({
    environment,
    originalDestination: deps.originalDestination,
    ...(deps.accessLog === undefined ? {} : { accessLog: deps.accessLog }),
  });
}
