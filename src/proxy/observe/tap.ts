/**
 * Requests one by one, for somebody who watches: `GET /heddle/tap?method=&path=&status=&from=&to=` on the admin socket,
 * one JSON line each, when the request is over.
 *
 * While nobody watches a request costs the look at one field. A tap shows so many requests a second and counts the
 * rest, and a reader that is slow misses requests: it never slows traffic, nor is anything kept for it.
 */

import type { ServerResponse } from "node:http";
import type { TapFilter, TappedRequest } from "../../model/observation.ts";
import type { Direction } from "../../model/proxy-config.ts";
import type { Environment } from "../environment.ts";
import type { Exchange } from "../stack/exchange.ts";

const maxTaps = 16;
const mostPerSecond = 200;
const maxUnreadBytes = 256 * 1024;
const tickMs = 1_000;
/** Longer paths are cut: a line stays a line. */
const maxPath = 1_024;

interface Tap {
  readonly filter: TapFilter;
  readonly response: ServerResponse;
  /** Of this second. */
  shown: number;
  leftOut: number;
}

/** Who is at both ends, as the recorder names them. */
export interface Ends {
  readonly source: string;
  readonly destination: string;
}

export class Taps {
  readonly #environment: Environment;
  readonly #taps = new Set<Tap>();
  #tick: NodeJS.Timeout | undefined;
  isOn = false;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** Serves a tap on the response until its reader goes. */
  open(filter: TapFilter, response: ServerResponse): void {
    if (this.#taps.size >= maxTaps) {
      response.writeHead(429, { "content-type": "text/plain" });
      response.end(`${maxTaps} taps are open already\n`);
      return;
    }
    const tap: Tap = { filter, response, shown: 0, leftOut: 0 };
    this.#taps.add(tap);
    this.isOn = true;
    this.#tick ??= setInterval(() => this.#onTick(), tickMs).unref();
    response.on("close", () => this.#close(tap));
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.flushHeaders();
  }

  /** A request is over. */
  tell(exchange: Exchange, direction: Direction, { source, destination }: Ends): void {
    let line: string | undefined;
    for (const tap of this.#taps) {
      if (!matches(tap.filter, exchange, source, destination)) continue;
      if (tap.shown >= mostPerSecond || tap.response.writableLength > maxUnreadBytes) {
        tap.leftOut++;
        continue;
      }
      tap.shown++;
      line ??= `${JSON.stringify(this.#describe(exchange, direction, source, destination))}\n`;
      tap.response.write(line);
    }
  }

  #describe(
    exchange: Exchange,
    direction: Direction,
    source: string,
    destination: string,
  ): TappedRequest {
    const { epochMs, node } = this.#environment;
    const { host, route, peer } = exchange;
    const isOutbound = direction === "outbound";
    const durationMs = exchange.endedAt - exchange.startedAt;
    return {
      at: epochMs() - durationMs,
      reporter: isOutbound ? "source" : "destination",
      source,
      destination,
      pod: `${node.namespace}/${node.pod}`,
      method: exchange.method.slice(0, 64),
      path: (exchange.path + exchange.query).slice(0, maxPath),
      authority: exchange.authority.slice(0, 256),
      status: exchange.status,
      flag: exchange.flag,
      durationMs,
      mtls: isOutbound ? host?.endpoint.tls === true : peer.principal !== undefined,
      ...(route === undefined ? {} : { route: route.origin ?? route.name }),
      ...(host === undefined ? {} : { upstream: `${host.address}:${host.port}` }),
    };
  }

  #onTick(): void {
    for (const tap of this.#taps) {
      tap.shown = 0;
      if (tap.leftOut === 0 || tap.response.writableLength > maxUnreadBytes) continue;
      tap.response.write(`${JSON.stringify({ leftOut: tap.leftOut })}\n`);
      tap.leftOut = 0;
    }
  }

  #close(tap: Tap): void {
    this.#taps.delete(tap);
    this.isOn = this.#taps.size > 0;
    if (this.isOn) return;
    clearInterval(this.#tick);
    this.#tick = undefined;
  }
}

function matches(
  { method, path, status, from, to }: TapFilter,
  exchange: Exchange,
  source: string,
  destination: string,
): boolean {
  return (
    (method === undefined || exchange.method === method) &&
    (path === undefined || (exchange.path + exchange.query).startsWith(path)) &&
    (status === undefined || hasStatus(exchange.status, status)) &&
    (from === undefined || isCalled(source, from)) &&
    (to === undefined || isCalled(destination, to))
  );
}

function hasStatus(status: number, wanted: string): boolean {
  const isClass = wanted.endsWith("xx");
  return isClass ? String(Math.floor(status / 100)) === wanted[0] : String(status) === wanted;
}

function isCalled(name: string, wanted: string): boolean {
  return name === wanted || name.endsWith(`/${wanted}`);
}
