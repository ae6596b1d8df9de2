/**
 * One endpoint of one cluster, as this sidecar knows it: its connections, its load, how it has behaved.
 *
 * When the endpoint leaves the configuration the host drains: what is in flight finishes, what idles is closed, and no
 * picker offers it any more.
 *
 * Not here: which connection carries a request (pooled-connections.ts for HTTP/1.1, shared-connections.ts for HTTP/2), and
 * how one is opened (connector.ts).
 */

import type { BalancerMetadata, Endpoint, Locality } from "../../model/proxy-config.ts";
import type { Reader, Transport } from "../codec/transport.ts";
import type { Peer } from "../peer.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Failure } from "../stack/outcome.ts";
import type { ClusterRuntime } from "./cluster.ts";
import { Connector } from "./connector.ts";
import { type HealthState, unchecked } from "./health-state.ts";
import { HostRecord } from "./host-record.ts";
import { IdleLife } from "./idle-life.ts";
import { type HostHealth, healthy } from "./outlier.ts";
import { PooledConnections } from "./pooled-connections.ts";
import { SharedConnections } from "./shared-connections.ts";

const nowhere: Locality = { region: "", zone: "", subZone: "" };

export class Host {
  readonly cluster: ClusterRuntime;
  readonly address: string;
  readonly port: number;
  endpoint: Endpoint;
  /** Requests and tunnels under way. */
  active = 0;
  connections = 0;
  isRemoved = false;
  /** Metric series already bound for this host, by the one who binds them. */
  series: unknown = undefined;
  /** What outlier detection knows of it. */
  health: HostHealth = healthy();
  /** How long it keeps connections that nobody uses. */
  readonly idleLife: IdleLife = new IdleLife();
  readonly record: HostRecord = new HostRecord();
  /** What health checks say of it. */
  checked: HealthState = unchecked;
  /** When it became known, and the part of its weight that it has by now. */
  readonly since: number;
  warmth = 1;
  /** Connections of HTTP/1.1. */
  readonly pooled: PooledConnections;
  /** Connections of HTTP/2. */
  readonly shared: SharedConnections;
  readonly #connector: Connector = new Connector(this);

  constructor(cluster: ClusterRuntime, endpoint: Endpoint) {
    this.cluster = cluster;
    this.endpoint = endpoint;
    this.address = endpoint.address;
    this.port = endpoint.port;
    this.since = cluster.environment.now();
    this.pooled = new PooledConnections(this, this.#connector);
    this.shared = new SharedConnections(this, this.#connector);
  }

  get key(): string {
    return `${this.address}:${this.port}`;
  }

  /** What consistent hashing knows it by, where that is not its address. */
  get hashedAs(): string | undefined {
    const { balancer } = this.cluster.config;
    const { metadata, hostname } = this.endpoint;
    const key = metadata?.["hash_key"];
    if (typeof key === "string" && key !== "") return key;
    return "hashesNames" in balancer ? hostname : undefined;
  }

  get metadata(): BalancerMetadata | undefined {
    return this.endpoint.metadata;
  }

  get weight(): number {
    return this.endpoint.weight * this.warmth;
  }

  get strain(): number {
    return this.record.isFailing ? this.record.strain(this.cluster.environment.now()) : 1;
  }

  get latencyMs(): number {
    return this.record.latencyMs;
  }

  /** It is being tried after an ejection, and its one request is under way. */
  get isBeingTried(): boolean {
    return this.health.isOnProbation && this.active > 0;
  }

  get isEjected(): boolean {
    return this.health.ejectedUntil > 0;
  }

  /** Nothing that is known speaks against sending it a request. */
  get isUsable(): boolean {
    const { health, checked, endpoint } = this;
    return health.ejectedUntil === 0 && !checked.isUnwell && endpoint.isUnhealthy !== true;
  }

  get priority(): number {
    return this.endpoint.priority ?? 0;
  }

  get locality(): string {
    const { region, zone, subZone } = this.endpoint.locality ?? nowhere;
    return `${region}/${zone}/${subZone}`;
  }

  get localityWeight(): number {
    return this.endpoint.localityWeight ?? 1;
  }

  /** How long a connection may have waited for a request to be used still: by configuration, and by its own ways. */
  get idleMs(): number {
    return Math.min(this.cluster.idleMs, this.idleLife.usableMs);
  }

  /** Mesh TLS is spoken to it. */
  get isOfMesh(): boolean {
    return this.endpoint.tls && this.cluster.security.mesh !== undefined;
  }

  get introduction(): string {
    return this.cluster.introduction;
  }

  // ---- requests --------------------------------------------------------------------------------

  /** Finds or makes a connection for the exchange; `fresh` asks for a new one. */
  serve(exchange: Exchange, fresh: boolean): void {
    if (this.cluster.speaksHttp2(exchange)) this.shared.serve(exchange);
    else this.pooled.serve(exchange, fresh);
  }

  /** The cluster may have another connection: whoever waits longest gets it. False: nobody waits here. */
  connectForWaiting(): boolean {
    return this.pooled.connectForWaiting() || this.shared.connectForWaiting();
  }

  /** One of its connections has ended. */
  lose(): void {
    this.connections--;
    if (this.connections === 0) this.cluster.onHostUnused(this);
    this.cluster.load.onConnectionClosed(this);
  }

  // ---- tunnels ---------------------------------------------------------------------------------

  /** Opens a connection for a tunnel. Exactly one of the callbacks is called, once. */
  connectTunnel(
    reader: Reader,
    onReady: (transport: Transport) => void,
    onFailure: (failure: Failure) => void,
    peer?: Peer,
  ): void {
    if (!this.cluster.load.mayConnectTunnel()) {
      onFailure("overflow");
      return;
    }
    this.connections++;
    this.active++;
    const transport = this.#connector.open(reader, "any", peer);
    this.#connector.whenReady(
      transport,
      () => onReady(transport),
      () => {
        this.cluster.connectFailures++;
        transport.destroy();
        this.onTunnelClosed();
        this.reportFailure("connect-failure");
        onFailure("connect-failure");
      },
    );
  }

  onTunnelClosed(): void {
    this.active--;
    this.lose();
  }

  /**
   * Opens a connection that is nobody's load and in no pool: for a health check. What ends it, ends it by `onClose`.
   */
  connectApart(reader: Reader, onReady: (transport: Transport) => void): Transport {
    const transport = this.#connector.open(reader, "any");
    this.#connector.whenReady(
      transport,
      () => onReady(transport),
      () => transport.destroy(),
    );
    return transport;
  }

  /** So old that it takes nothing more. */
  isTooOld({ openedAt }: Transport): boolean {
    const { maxConnectionDurationMs } = this.cluster.config;
    if (maxConnectionDurationMs === undefined || openedAt === 0) return false;
    return this.cluster.environment.now() - openedAt >= maxConnectionDurationMs;
  }

  // ---- health ----------------------------------------------------------------------------------

  /** What it was sent at `startedAt` it has begun to answer. */
  noteAnswer(startedAt: number): void {
    const now = this.cluster.environment.now();
    this.record.noteLatency(now - startedAt, now);
  }

  /** What an answer amounts to, in HTTP's terms. */
  report(status: number): void {
    const { cluster, record } = this;
    if (cluster.outliers !== undefined) cluster.outliers.onStatus(this, status);
    // 501 and 505 are about the request.
    const isFailure = status >= 500 && status !== 501 && status !== 505;
    if (isFailure) record.noteFailure(cluster.environment.now());
    else if (record.isFailing) record.noteSuccess(cluster.environment.now());
  }

  reportFailure(failure: Failure): void {
    this.cluster.outliers?.onFailure(this, failure);
    if (failure === "overflow" || failure === "no-host") return;
    this.record.noteFailure(this.cluster.environment.now());
  }

  // ---- endings ---------------------------------------------------------------------------------

  /** The endpoint is gone from the configuration. */
  drain(): void {
    this.isRemoved = true;
    this.closeIdle();
  }

  closeIdle(): void {
    this.pooled.closeIdle();
    this.shared.drain();
  }

  /** Closes what has waited too long or is too old. */
  sweep(): void {
    const now = this.cluster.environment.now();
    this.shared.sweep(now);
    this.pooled.sweep(now);
  }
}
