/**
 * One endpoint's connections of HTTP/1.1, each of which carries one request at a time, and the requests that wait for one of
 * them.
 *
 * They are taken newest first, so that the few that are needed stay warm and the rest grow old and are closed. While its
 * cluster may have no more connections, a request waits for the next one that is free.
 */

import { descriptorOf } from "../codec/sockets.ts";
import { HttpUpstream } from "../codec/upstream.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Connector } from "./connector.ts";
import type { Host } from "./host.ts";
import { PendingRequests } from "./pending.ts";

export class PooledConnections {
  readonly #host: Host;
  readonly #connector: Connector;
  /** Those that carry nothing; the one that has waited longest is in front. */
  readonly #idle: HttpUpstream[] = [];
  readonly #pending: PendingRequests;

  constructor(host: Host, connector: Connector) {
    this.#host = host;
    this.#connector = connector;
    this.#pending = new PendingRequests(host.cluster.load);
  }

  get idle(): number {
    return this.#idle.length;
  }

  /** Finds or makes a connection for the exchange; `fresh` asks for a new one. */
  serve(exchange: Exchange, fresh: boolean): void {
    const pooled = fresh ? undefined : this.#takeIdle(exchange);
    if (pooled !== undefined) {
      pooled.start(exchange);
      return;
    }
    const { cluster } = this.#host;
    if (!cluster.load.mayWait()) exchange.onFailure("overflow");
    else if (cluster.load.mayConnectTo(this.#host)) this.#connect(exchange);
    else this.#serveLater(exchange);
  }

  /** There may be no more connections: where a fresh one was wanted an idle one does, else the next that is free. */
  #serveLater(exchange: Exchange): void {
    const pooled = this.#takeIdle(exchange);
    if (pooled !== undefined) pooled.start(exchange);
    else {
      this.#pending.add(exchange);
      this.#host.cluster.load.waiting.add(this.#host);
    }
  }

  /** The cluster may have another connection: whoever waits longest gets it. False: nobody waits here. */
  connectForWaiting(): boolean {
    const next = this.#pending.take();
    if (next !== undefined) this.#connect(next);
    return next !== undefined;
  }

  #takeIdle(exchange: Exchange): HttpUpstream | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined || this.#isFit(connection, exchange)) return connection;
      connection.close();
    }
  }

  /** Whether the endpoint takes another request on it, as far as can be known. */
  #isFit({ transport, idleSince }: HttpUpstream, exchange: Exchange): boolean {
    const host = this.#host;
    if (transport.isDestroyed || host.isTooOld(transport)) return false;
    const { environment } = host.cluster;
    if (environment.now() - idleSince > host.idleMs) return false;
    // What may run twice is sent again should the connection break; for the others its end must not be overlooked,
    // though it was not read yet.
    if (exchange.mayRunTwice) return true;
    const descriptor = descriptorOf(transport.socket);
    return descriptor !== undefined && !environment.isHungUp(descriptor);
  }

  #connect(exchange: Exchange): void {
    const host = this.#host;
    const { cluster } = host;
    host.connections++;
    cluster.load.pendingRequests++;
    const { epoch } = exchange.tries;
    let isPending = true;
    const settle = () => {
      if (isPending) cluster.load.pendingRequests--;
      isPending = false;
    };
    const connection = new HttpUpstream(host, (reader) =>
      this.#connector.open(reader, "http/1.1", exchange.peer),
    );
    this.#connector.whenReady(
      connection.transport,
      () => {
        settle();
        // The client may have left meanwhile, or the try run out of time: the next one has use for the connection.
        if (exchange.tries.epoch === epoch) connection.start(exchange);
        else connection.park();
      },
      () => {
        settle();
        cluster.connectFailures++;
        connection.close();
        if (exchange.tries.epoch === epoch) exchange.onFailure("connect-failure");
      },
    );
  }

  /** The connection carries nothing and may carry more. */
  release(connection: HttpUpstream, now: number): void {
    const host = this.#host;
    const { config, generation } = host.cluster;
    const isWornOut = connection.served >= (config.maxRequestsPerConnection ?? Infinity);
    // Its header says for whom it is: nobody else may have it.
    const isPersonal = config.proxyProtocol !== undefined;
    if (
      host.isRemoved ||
      isWornOut ||
      isPersonal ||
      host.isTooOld(connection.transport) ||
      connection.generation !== generation
    ) {
      connection.close();
      return;
    }
    connection.idleSince = now;
    const next = this.#pending.size === 0 ? undefined : this.#pending.take();
    if (next !== undefined) connection.start(next);
    else this.#idle.push(connection);
  }

  onClosed(connection: HttpUpstream): void {
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#host.lose();
  }

  closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  /** Closes what has waited too long or is too old. */
  sweep(now: number): void {
    const host = this.#host;
    if (host.cluster.config.maxConnectionDurationMs !== undefined) {
      for (const { transport } of this.#idle) if (host.isTooOld(transport)) transport.destroy();
    }
    const since = now - host.idleMs;
    for (;;) {
      const [oldest] = this.#idle;
      if (oldest === undefined || oldest.idleSince > since) return;
      this.#idle.shift();
      oldest.close();
    }
  }
}
