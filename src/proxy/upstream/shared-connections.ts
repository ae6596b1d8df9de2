/**
 * One endpoint's connections of HTTP/2, each of which carries many requests at a time, and the requests that wait for
 * one of them.
 *
 * A request goes to the first connection that has room for it; a new one is opened where none has. While its cluster
 * may have no more, the request waits for the next stream that ends.
 */

import { Http2Upstream } from "../codec/http2/upstream.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Connector } from "./connector.ts";
import type { Host } from "./host.ts";
import { PendingRequests } from "./pending.ts";

export class SharedConnections {
  readonly #host: Host;
  readonly #connector: Connector;
  readonly #all: Http2Upstream[] = [];
  readonly #pending: PendingRequests;

  constructor(host: Host, connector: Connector) {
    this.#host = host;
    this.#connector = connector;
    this.#pending = new PendingRequests(host.cluster.load);
  }

  serve(exchange: Exchange): void {
    const { cluster } = this.#host;
    const known = this.#withRoom();
    if (known?.state === "ready") known.start(exchange);
    else if (!cluster.load.mayWait()) exchange.onFailure("overflow");
    else if (known !== undefined) this.#waitFor(known, exchange);
    else if (cluster.load.mayConnectTo(this.#host)) this.#waitFor(this.#connect(), exchange);
    else {
      this.#pending.add(exchange);
      cluster.load.waiting.add(this.#host);
    }
  }

  #withRoom(): Http2Upstream | undefined {
    const { generation, environment } = this.#host.cluster;
    const known = this.#all.find((one) => one.room > 0 && one.generation === generation);
    if (known === undefined || !this.#isPast(known, environment.now())) return known;
    known.drain(); // nobody has looked since
    return this.#withRoom();
  }

  /** It has waited too long for another request, or is too old for one. */
  #isPast(connection: Http2Upstream, now: number): boolean {
    if (connection.state !== "ready") return false;
    const isIdle = connection.connection.openStreams === 0;
    const isForgotten = isIdle && now - connection.idleSince > this.#host.idleMs;
    return isForgotten || this.#host.isTooOld(connection.transport);
  }

  /** The cluster may have another connection. False: nobody waits here. */
  connectForWaiting(): boolean {
    const next = this.#pending.take();
    if (next !== undefined) this.#waitFor(this.#connect(), next);
    return next !== undefined;
  }

  /** A stream of the connection has ended, and others may have waited for that. */
  onRoom(connection: Http2Upstream): void {
    while (this.#pending.size > 0 && connection.room > 0 && connection.state === "ready") {
      const next = this.#pending.take();
      if (next !== undefined) connection.start(next);
    }
  }

  #connect(): Http2Upstream {
    const host = this.#host;
    host.connections++;
    const connection = new Http2Upstream(host, (reader) => this.#connector.open(reader, "http/2"));
    this.#all.push(connection);
    this.#connector.whenReady(
      connection.transport,
      () => connection.ready(),
      () => {
        host.cluster.connectFailures++;
        connection.close();
      },
    );
    return connection;
  }

  #waitFor(connection: Http2Upstream, exchange: Exchange): void {
    const { cluster } = this.#host;
    const { epoch } = exchange.tries;
    cluster.load.pendingRequests++;
    connection.whenReady((isReady) => {
      cluster.load.pendingRequests--;
      // The client may have left meanwhile, or the try run out of time.
      if (exchange.tries.epoch !== epoch) return;
      if (!isReady) exchange.onFailure("connect-failure");
      else if (connection.room > 0) connection.start(exchange);
      else this.serve(exchange); // it takes fewer streams than it was thought to
    });
  }

  /** The connection takes no more exchanges, and none is under way. */
  onClosed(connection: Http2Upstream): void {
    const index = this.#all.indexOf(connection);
    if (index >= 0) this.#all.splice(index, 1);
    this.#host.lose();
  }

  /** Each connection closes with its last stream. */
  drain(): void {
    for (const connection of [...this.#all]) connection.drain();
  }

  sweep(now: number): void {
    for (const connection of [...this.#all]) if (this.#isPast(connection, now)) connection.drain();
  }
}
