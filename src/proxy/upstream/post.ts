/** One request of the sidecar's own to a cluster, with a body: an exchange without a client, of which the status is told. */

import { requestParser } from "../codec/heads.ts";
import { sendOnce } from "../filter/router.ts";
import { ownPeer, type Peer } from "../peer.ts";
import { Exchange } from "../stack/exchange.ts";
import type { Head } from "../stack/head.ts";
import type { DownstreamLeg } from "../stack/legs.ts";
import { Timeout } from "../timer-wheel.ts";
import type { ClusterRuntime } from "./cluster.ts";

export interface Post {
  readonly cluster: ClusterRuntime;
  readonly host: string;
  readonly path: string;
  /** Complete lines. */
  readonly fields: string;
  readonly body: Buffer;
  readonly timeoutMs: number;
}

/** `tell` is called once, never before this returns; 0: there was no answer. */
export function post(asked: Post, tell: (status: number) => void): void {
  const { cluster, host, path, fields, body } = asked;
  const outgoing = `POST ${path} HTTP/1.1\r\nhost: ${host}\r\n${fields}content-length: ${body.length}\r\nuser-agent: heddle\r\n`;
  const whole = `${outgoing}\r\n`;
  const head = parseHead(whole);
  if (head === undefined) {
    queueMicrotask(() => tell(0)); // the configuration has no host or path that could be asked for
    return;
  }
  const { environment } = cluster;
  const leg = new PostLeg(cluster, (status) => queueMicrotask(() => tell(status)));
  const target = { path, query: "", authority: undefined };
  const exchange = new Exchange(leg, head, whole, target, host, environment.now());
  exchange.cluster = cluster;
  exchange.outgoing = outgoing;
  exchange.attempt = sendOnce;
  exchange.offerFirst(body, 0, body.length, true);
  const timeout = new Timeout(() => exchange.onDownstreamClosed());
  exchange.atEnd(() => environment.wheel.cancel(timeout));
  environment.wheel.arm(timeout, asked.timeoutMs);
  sendOnce(exchange);
  exchange.settle();
}

/** Undefined: it is not one request, no more and no less. */
function parseHead(whole: string): Head | undefined {
  const bytes = Buffer.from(whole, "latin1");
  const parser = requestParser();
  const isWhole = parser.execute(bytes, 0, bytes.length);
  return isWhole && parser.headEnd === bytes.length ? parser : undefined;
}

class PostLeg implements DownstreamLeg {
  readonly peer: Peer = ownPeer;
  readonly environment: ClusterRuntime["environment"];
  readonly protocol: DownstreamLeg["protocol"];
  readonly joinsBodies = false;
  readonly #tell: (status: number) => void;
  #status = 0;

  constructor({ environment, config }: ClusterRuntime, tell: (status: number) => void) {
    this.environment = environment;
    this.protocol = config.protocol === "http/2" ? "HTTP/2" : "HTTP/1.1";
    this.#tell = tell;
  }

  writeResponse(_exchange: Exchange, head: Head): void {
    this.#status = head.status;
  }

  /** However it ended. */
  onExchangeOver(): void {
    this.#tell(this.#status);
  }

  breakOff(): void {
    this.#status = 0;
  }

  switchProtocols(): undefined {
    return undefined;
  }

  holdOff(): void {}
  writeLocal(): void {}
  writeInterim(): void {}
  writeResponseBody(): void {}
  writeResponseEnd(): void {}
  pause(): void {}
  resume(): void {}
}
