/**
 * A cluster at work: its hosts, and who watches over them. It lives on through configuration changes that keep its
 * name, and so do connections and what is known of hosts.
 *
 * An update is in force in one step, and so is a name of an endpoint that comes to lead elsewhere. Hosts that stay are
 * the same objects; those that left drain. Where TLS settings change in a way that an old connection would not
 * satisfy, the pooled connections of the old generation are closed and busy ones are not reused; new certificates alone
 * change nothing for connections that exist.
 *
 * Not here: which host a request gets (host-choice.ts), and how much there may be under way (cluster-load.ts).
 */

import type { SecureContext } from "node:tls";
import type { Cluster, ClusterEndpoints, Endpoint } from "../../model/proxy-config.ts";
import type { ConnectTlsOptions } from "../codec/sockets.ts";
import type { Environment } from "../environment.ts";
import { longestTimerMs } from "../longest-timer.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { TlsContext } from "../tls/context.ts";
import type { SubsetName } from "./balancer/subsets.ts";
import { ClusterLoad } from "./cluster-load.ts";
import { HealthChecker } from "./health-check.ts";
import { unchecked } from "./health-state.ts";
import { Host } from "./host.ts";
import { HostChoice, type Tried } from "./host-choice.ts";
import { NamedMembers } from "./names/members.ts";
import { healthy, OutlierDetector } from "./outlier.ts";

/** What a cluster is told of its endpoints. */
export type Members = Pick<ClusterEndpoints, "endpoints" | "overprovisioningPercent">;

/** What is spoken to endpoints that are marked `tls`, and to the others; undefined: nothing but the plain protocol. */
export interface ClusterSecurity {
  readonly mesh: ClusterTls | undefined;
  readonly outside: ClusterTls | undefined;
}

const plain: ClusterSecurity = { mesh: undefined, outside: undefined };

/** TLS towards a cluster's endpoints. `identity` changes when old connections must not be used any more. */
export interface ClusterTls extends Omit<ConnectTlsOptions, "context"> {
  /** Of our own TLS, or of Node's. */
  readonly context: TlsContext | SecureContext;
  readonly identity: string;
}

const defaultOverprovisioning = 140; // Envoy's

export class ClusterRuntime {
  readonly name: string;
  readonly environment: Environment;
  config: Cluster;
  security: ClusterSecurity = plain;
  /** Connections of an older generation are not reused. */
  generation = 0;
  /** The field line that tells peers who we are. */
  readonly introduction: string;
  outliers: OutlierDetector<Host> | undefined;
  readonly load: ClusterLoad = new ClusterLoad(this);

  connectionsTotal = 0;
  connectFailures = 0;
  isRemoved = false;
  /** Copies of requests that were meant for others. Dropped: not made, or given up. */
  readonly mirrored: { underWay: number; sentTotal: number; droppedTotal: number } = {
    underWay: 0,
    sentTotal: 0,
    droppedTotal: 0,
  };
  /** Second tries beside a first one, and those whose answer was the one. */
  readonly hedged: { sentTotal: number; wonTotal: number } = { sentTotal: 0, wonTotal: 0 };
  /** Metric series already bound for requests that reached no host. */
  series: unknown = undefined;

  #hosts = new Map<string, Host>();
  readonly #choice: HostChoice;
  /** What TLS to it takes is missing. */
  #isCutOff = false;
  #review: NodeJS.Timeout | undefined;
  #checker: HealthChecker | undefined;
  #named: NamedMembers | undefined;
  #overprovisioningPercent = defaultOverprovisioning;

  constructor(config: Cluster, environment: Environment, introduction: string) {
    this.name = config.name;
    this.config = config;
    this.environment = environment;
    this.introduction = introduction;
    this.#choice = new HostChoice(config, environment);
  }

  get measuresLatency(): boolean {
    return this.config.balancer.kind === "peak-ewma";
  }

  /** How long a pooled connection may wait for a request. */
  get idleMs(): number {
    const ms = this.config.idleTimeoutMs ?? this.environment.limits.upstreamIdleMs;
    return ms === 0 ? Infinity : ms; // 0: for ever, as with Envoy
  }

  get hosts(): readonly Host[] {
    return [...this.#hosts.values()];
  }

  get connections(): number {
    let sum = 0;
    for (const host of this.#hosts.values()) sum += host.connections;
    return sum;
  }

  /** Takes a new configuration over in one step. */
  update(
    config: Cluster,
    { endpoints, overprovisioningPercent = defaultOverprovisioning }: Members,
    security: ClusterSecurity,
  ): void {
    const before = this.config;
    this.config = config;
    this.#overprovisioningPercent = overprovisioningPercent;
    if (identityOf(this.security) !== identityOf(security)) {
      this.generation++;
      for (const host of this.#hosts.values()) host.closeIdle();
    }
    this.security = security;
    // Plain text where TLS was asked for would be worse than no answer.
    this.#isCutOff = config.originate !== undefined && security.outside === undefined;
    this.#followNames();
    this.#replaceHosts(this.#membersOf(endpoints));
    this.#checkHealth(before);
    this.#detectOutliers(before);
    this.#repick();
    this.load.connectForWaiting(); // there may be more connections than before
  }

  /** Undefined: hosts come and go with requests. */
  #membersOf(given: readonly Endpoint[]): readonly Endpoint[] | undefined {
    const { discovery } = this.config;
    if (discovery.kind === "original-destination") return undefined;
    if (this.#isCutOff || discovery.kind === "none") return [];
    return discovery.kind === "dns" ? this.#named?.endpoints(discovery) : given;
  }

  #followNames(): void {
    const { discovery } = this.config;
    if (discovery.kind === "dns") {
      this.#named ??= new NamedMembers(this.environment.names, () => this.#onNames());
      this.#named.follow(discovery);
    } else {
      this.#named?.stop();
      this.#named = undefined;
    }
  }

  /** Some name leads elsewhere. */
  #onNames(): void {
    this.#replaceHosts(this.#membersOf([]));
    this.#checker?.watch(this.hosts);
    this.#repick();
  }

  #replaceHosts(endpoints: readonly Endpoint[] | undefined): void {
    if (endpoints === undefined) return;
    const next = new Map<string, Host>();
    for (const endpoint of endpoints) {
      const key = keyOf(endpoint);
      const known = this.#hosts.get(key) ?? new Host(this, endpoint);
      if (known.endpoint !== endpoint) {
        known.endpoint = endpoint;
        known.series = undefined; // its labels may have changed
      }
      next.set(key, known);
    }
    const removed = [...this.#hosts].filter(([key]) => !next.has(key));
    this.#hosts = next;
    for (const [, host] of removed) host.drain();
  }

  /** Hosts, or what is known of them, have changed. */
  #repick(): void {
    this.#choice.renew(this.config, this.hosts, this.#overprovisioningPercent);
  }

  #checkHealth(before: Cluster): void {
    const { healthCheck } = this.config;
    const isSame = JSON.stringify(before.healthCheck) === JSON.stringify(healthCheck);
    if (this.#checker === undefined || !isSame) {
      this.#checker?.stop();
      this.#checker = healthCheck && new HealthChecker(this, healthCheck, () => this.#repick());
      if (healthCheck === undefined) for (const host of this.hosts) host.checked = unchecked;
    }
    this.#checker?.watch(this.hosts);
  }

  #detectOutliers(before: Cluster): void {
    const { outlierDetection } = this.config;
    if (this.outliers === undefined && outlierDetection === undefined) return;
    if (this.outliers !== undefined && sameOutliers(before, this.config)) return;
    // Whom it has ejected nobody else would let back in.
    if (outlierDetection === undefined) for (const host of this.hosts) host.health = healthy();
    this.outliers =
      outlierDetection &&
      new OutlierDetector<Host>(
        outlierDetection,
        () => this.hosts,
        this.environment.now,
        (ejected) => {
          this.#repick();
          if (ejected !== undefined) this.environment.losses.ejected(ejected, this.environment);
        },
      );
    this.#scheduleReviews();
  }

  /** Undefined: endpoints are not checked. */
  get checks(): { readonly attemptsTotal: number; readonly failuresTotal: number } | undefined {
    return this.#checker;
  }

  /** Some request or connection was for it. */
  get hasBeenUsed(): boolean {
    if (this.series !== undefined) return true;
    for (const host of this.#hosts.values()) if (host.series !== undefined) return true;
    return false;
  }

  #scheduleReviews(): void {
    clearInterval(this.#review);
    const { outliers } = this;
    if (outliers === undefined) return;
    const everyMs = Math.min(outliers.intervalMs, longestTimerMs);
    this.#review = setInterval(() => outliers.review(), everyMs);
    this.#review.unref();
  }

  /**
   * A host for one more request or tunnel to `address:port`; `key` is what consistent hashing goes by, `wanted` the part
   * of the hosts that is meant. Undefined: there is none that may be used.
   */
  pick(
    address: string,
    port: number,
    tried: Tried | undefined,
    key?: number,
    wanted?: SubsetName,
  ): Host | undefined {
    if (this.#isCutOff) return undefined;
    switch (this.config.discovery.kind) {
      case "none":
        return undefined;
      case "original-destination":
        return this.#originalHost(address, port);
      case "eds":
      case "dns":
        break;
    }
    return this.#choice.pick(tried, key, wanted);
  }

  #originalHost(address: string, port: number): Host {
    const endpoint = { address, port, weight: 1, tls: this.security.mesh !== undefined };
    const key = keyOf(endpoint);
    const known = this.#hosts.get(key);
    if (known !== undefined) return known;
    const host = new Host(this, endpoint);
    this.#hosts.set(key, host);
    return host;
  }

  /** Forgets an original destination that has no connection any more. */
  onHostUnused(host: Host): void {
    if (this.config.discovery.kind !== "original-destination" || host.active > 0) return;
    const key = keyOf(host.endpoint);
    if (this.#hosts.get(key) === host) this.#hosts.delete(key);
  }

  /** Whether the exchange goes to this cluster's endpoints in HTTP/2. What asks for an upgrade cannot. */
  speaksHttp2(exchange: Exchange): boolean {
    const { protocol } = this.config;
    if (protocol === "downstream") return exchange.downstream.protocol === "HTTP/2";
    return protocol === "http/2";
  }

  // ---- endings ---------------------------------------------------------------------------------

  /** The cluster is gone from the configuration: what is in flight finishes. */
  drain(): void {
    this.isRemoved = true;
    clearInterval(this.#review);
    this.#checker?.stop();
    this.#named?.stop();
    for (const host of this.#hosts.values()) host.drain();
  }

  sweep(): void {
    for (const host of this.#hosts.values()) {
      host.sweep();
      if (host.connections === 0) this.onHostUnused(host);
    }
  }
}

function identityOf({ mesh, outside }: ClusterSecurity): string {
  return `${mesh?.identity} ${outside?.identity}`;
}

function keyOf(endpoint: Endpoint): string {
  return `${endpoint.address}:${endpoint.port}:${endpoint.tls}`;
}

function sameOutliers(a: Cluster, b: Cluster): boolean {
  return JSON.stringify(a.outlierDetection) === JSON.stringify(b.outlierDetection);
}
