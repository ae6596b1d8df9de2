/**
 * One captured connection that is proxied as bytes: cluster by weight, a host, a connection, then a tunnel.
 *
 * While there is no upstream connection nothing is read, so what is buffered is what detection has looked at, and what
 * TLS had read with it. A host that cannot be connected to is passed over for another one, for no byte of the client's
 * has been sent yet.
 */

import type { Direction } from "../../model/proxy-config.ts";
import { keptBehind } from "../codec/kept-bytes.ts";
import type { Reader, Transport } from "../codec/transport.ts";
import type { TcpChain } from "../config/tables.ts";
import type { LiveConnection } from "../listen/connections.ts";
import type { Runtime } from "../listen/runtime.ts";
import type { Peer } from "../peer.ts";
import { type Failure, type ResponseFlag, replyFor } from "../stack/outcome.ts";
import { hashText } from "../upstream/balancer/hash.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import type { Host } from "../upstream/host.ts";
import { Tunnel } from "./tunnel.ts";

/** Hosts that are tried for one connection. */
const maxTries = 3;

export interface TcpConnectionOptions {
  readonly runtime: Runtime;
  readonly transport: Transport;
  readonly peer: Peer;
  readonly chain: TcpChain;
  readonly direction: Direction;
  /** What was read already. */
  readonly first: Buffer | undefined;
  readonly hasEnded: boolean;
  /** Told when the server speaks before the client. */
  readonly onServerFirst: (() => void) | undefined;
}

type Series = ReturnType<Runtime["recorder"]["tcp"]>;

export class TcpConnection implements Reader, LiveConnection {
  readonly #options: TcpConnectionOptions;
  readonly #tried: Host[] = [];
  #tunnel: Tunnel | undefined;
  #host: Host | undefined;
  #upstream: Transport | undefined;
  #series: Series | undefined;
  #countedReceived = 0;
  #countedSent = 0;
  #cluster: ClusterRuntime | undefined;
  readonly #startedAt: number;
  #movedAt: number;
  #isOver = false;
  /** What was read before there was a tunnel, and whether the client had ended by then. */
  #first: Buffer | undefined;
  #hasEnded: boolean;

  constructor(options: TcpConnectionOptions) {
    this.#options = options;
    this.#first = options.first;
    this.#hasEnded = options.hasEnded;
    this.#startedAt = options.runtime.environment.now();
    this.#movedAt = this.#startedAt;
  }

  start(): void {
    const { runtime, transport } = this.#options;
    runtime.connections.add(this);
    transport.reader = this;
    transport.pause();
    const cluster = this.#chooseCluster();
    this.#cluster = cluster;
    if (cluster === undefined) this.#refuse("no cluster", "NC");
    else this.#try(cluster);
  }

  #chooseCluster(): ClusterRuntime | undefined {
    const { chain, runtime } = this.#options;
    const total = chain.destinations.reduce((sum, destination) => sum + destination.weight, 0);
    let point = runtime.environment.random() * total;
    for (const destination of chain.destinations) {
      point -= destination.weight;
      if (point < 0) return destination.cluster;
    }
    return chain.destinations.at(-1)?.cluster;
  }

  #try(cluster: ClusterRuntime): void {
    const { peer } = this.#options;
    const host = cluster.pick(
      peer.destinationAddress,
      peer.destinationPort,
      this.#tried.length > 0 ? { hosts: this.#tried, priorities: undefined } : undefined,
      hashText(peer.sourceAddress), // there is nothing else to hash
    );
    if (host === undefined || this.#tried.includes(host)) {
      const failure = this.#tried.length === 0 ? "no-host" : "connect-failure";
      this.#reachNobody(cluster, failure);
      return;
    }
    this.#tried.push(host);
    host.connectTunnel(
      nobody,
      (upstream) => this.#join(cluster, host, upstream),
      (failure) => {
        if (this.#isOver) return;
        if (failure === "connect-failure" && this.#tried.length < maxTries) this.#try(cluster);
        else this.#reachNobody(cluster, failure);
      },
      peer,
    );
  }

  #join(cluster: ClusterRuntime, host: Host, upstream: Transport): void {
    const { runtime, transport, peer, direction } = this.#options;
    if (this.#isOver) {
      upstream.destroy();
      host.onTunnelClosed();
      return;
    }
    this.#series = runtime.recorder.tcp(direction, cluster, host, peer);
    this.#series.opened.add(1);
    this.#series.edge?.connection();
    const tunnel = new Tunnel(transport, upstream, () => {
      host.onTunnelClosed();
      this.#count();
      this.#series?.closed.add(1);
      this.#leave("-");
    });
    this.#tunnel = tunnel;
    this.#host = host;
    this.#upstream = upstream;
    if (this.#first !== undefined) tunnel.sendUpstream(this.#first);
    this.#first = undefined;
    tunnel.start(this.#hasEnded);
  }

  #reachNobody(cluster: ClusterRuntime, failure: Failure): void {
    const { runtime, peer, direction } = this.#options;
    const { flag } = replyFor(failure);
    runtime.recorder.tcpLost(direction, cluster, peer, flag);
    this.#refuse(failure, flag);
  }

  #refuse(reason: string, flag: ResponseFlag): void {
    const { runtime, transport, peer } = this.#options;
    runtime.environment.log.debug("refuse TCP connection", {
      destination: `${peer.destinationAddress}:${peer.destinationPort}`,
      reason,
    });
    this.#leave(flag);
    transport.reset();
  }

  #count(): void {
    const { onServerFirst } = this.#options;
    const tunnel = this.#tunnel;
    const series = this.#series;
    if (tunnel === undefined || series === undefined) return;
    const { fromDownstreamBytes, fromUpstreamBytes } = tunnel;
    series.received.add(fromDownstreamBytes - this.#countedReceived);
    series.sent.add(fromUpstreamBytes - this.#countedSent);
    this.#countedReceived = fromDownstreamBytes;
    this.#countedSent = fromUpstreamBytes;
    if (tunnel.upstreamSpokeFirst) onServerFirst?.();
  }

  #leave(flag: ResponseFlag): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { runtime, chain, peer } = this.#options;
    runtime.connections.delete(this);
    chain.log?.({
      peer,
      startedAt: this.#startedAt,
      receivedBytes: this.#tunnel?.fromDownstreamBytes ?? 0,
      sentBytes: this.#tunnel?.fromUpstreamBytes ?? 0,
      flag,
      cluster: this.#cluster,
      host: this.#host,
    });
  }

  // ---- Reader, until the tunnel is ----------------------------------------------------------------

  /** Pausing stops the next read; TLS still hands out what the last one brought, up to one read more. */
  onBytes(bytes: Buffer, length: number): void {
    this.#first = keptBehind(this.#first, bytes, 0, length);
  }

  onEnd(): void {
    this.#hasEnded = true;
  }

  onDrain(): void {}

  onClose(): void {
    this.#leave("DC");
  }

  // ---- LiveConnection --------------------------------------------------------------------------

  /** A tunnel has no end of its own to wait for; it is left alone until the drain is over. */
  drain(): void {}

  retire(): void {}

  destroy(): void {
    if (this.#tunnel === undefined) this.#refuse("draining", "-");
    else this.#tunnel.destroy();
  }

  get heldBytes(): number {
    const { transport } = this.#options;
    if (this.#upstream === undefined) return this.#first?.length ?? 0;
    return transport.queuedBytes + this.#upstream.queuedBytes;
  }

  sweep(now: number): void {
    const tunnel = this.#tunnel;
    if (tunnel === undefined) return;
    this.#count();
    if (tunnel.hasMoved) {
      tunnel.hasMoved = false;
      this.#movedAt = now;
    } else if (now - this.#movedAt > this.#options.chain.idleTimeoutMs) tunnel.destroy();
    const upstream = this.#upstream;
    if (upstream !== undefined && this.#host?.isTooOld(upstream) === true) tunnel.destroy();
  }
}

const nobody: Reader = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };
