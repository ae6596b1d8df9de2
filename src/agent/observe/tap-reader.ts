/**
 * Serves the server's taps: a stream from each sidecar that is meant, and what came on them since the last report.
 *
 * Orders are whole: each replaces the one before, streams that are no longer wanted end, missing ones are opened. What
 * comes between two reports has a limit; the rest is counted.
 */

import { type ClientRequest, get } from "node:http";
import type { TapBatch, TapFilter, TapOrder, TappedRequest } from "../../model/observation.ts";
import { parseTapLine } from "../../wire/observation/parse-tap.ts";

const maxRequests = 500;
/** A line is a request; this is far more. */
const maxLine = 16 * 1024;

interface Tap {
  readonly streams: Map<string, ClientRequest>;
  /** Answered; the tap is on when all are. */
  readonly open: Set<string>;
  requests: TappedRequest[];
  leftOut: number;
}

export class TapReader {
  readonly #taps = new Map<string, Tap>();

  get isOn(): boolean {
    return this.#taps.size > 0;
  }

  /** `sockets`: the admin sockets of the node's sidecars, by path, with their pods. */
  follow(orders: readonly TapOrder[], sockets: ReadonlyMap<string, string>): void {
    const wanted = new Set(orders.map(({ id }) => id));
    for (const [id, tap] of this.#taps) {
      if (wanted.has(id)) continue;
      this.#taps.delete(id);
      for (const stream of tap.streams.values()) stream.destroy();
    }
    for (const { id, filter, pods } of orders) {
      const tap = this.#taps.get(id) ?? emptyTap();
      this.#taps.set(id, tap);
      const meant = [...sockets].filter(([, pod]) => pods === undefined || pods.includes(pod));
      const paths = new Set(meant.map(([path]) => path));
      for (const [path, stream] of tap.streams) if (!paths.has(path)) stream.destroy();
      for (const path of paths) {
        if (!tap.streams.has(path)) tap.streams.set(path, openStream(tap, path, filter));
      }
    }
  }

  /** What was seen since the last time, of every tap whose streams are all open. */
  take(): readonly TapBatch[] {
    return [...this.#taps].flatMap(([id, tap]): TapBatch[] => {
      if (tap.open.size < tap.streams.size) return [];
      const { requests, leftOut } = tap;
      tap.requests = [];
      tap.leftOut = 0;
      return [{ tap: id, requests, leftOut }];
    });
  }

  close(): void {
    this.follow([], new Map());
  }
}

function emptyTap(): Tap {
  return { streams: new Map(), open: new Set(), requests: [], leftOut: 0 };
}

function openStream(tap: Tap, socketPath: string, filter: TapFilter): ClientRequest {
  const query = new URLSearchParams(Object.entries(filter));
  const request = get({ socketPath, agent: false, path: `/heddle/tap?${query}` }, (response) => {
    tap.open.add(socketPath);
    let rest = "";
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > maxLine) request.destroy();
      for (const line of lines) keep(tap, line);
    });
    response.on("error", () => undefined); // "close" comes after it
  });
  request.on("error", () => undefined);
  // One that ends (a sidecar was replaced) is opened again with the next order.
  request.on("close", () => {
    tap.streams.delete(socketPath);
    tap.open.delete(socketPath);
  });
  return request;
}

function keep(tap: Tap, line: string): void {
  try {
    const said = parseTapLine(JSON.parse(line));
    if ("leftOut" in said) tap.leftOut += said.leftOut;
    else if (tap.requests.length < maxRequests) tap.requests.push(said.request);
    else tap.leftOut++;
  } catch {
    tap.leftOut++; // not a line of ours
  }
}
