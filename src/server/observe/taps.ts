/**
 * Live taps: who watches requests, what agents are to send for it, and where it goes.
 *
 * A tap is open for as long as its client reads. Agents learn of it by the answers to their reports and send what they
 * saw with the next ones; one that no longer hears of a tap ends it. A client that does not read misses requests, and
 * is told how many; nothing is kept for it.
 */

import type { ServerResponse } from "node:http";
import { MeshError } from "../../base/error.ts";
import type { TapBatch, TapEvent, TapFilter, TapOrder } from "../../model/observation.ts";

const maxTaps = 16;
const maxUnreadBytes = 1024 * 1024;
/** Proxies and clients take a connection that says nothing for longer as dead. */
const quietMs = 10_000;

export interface TapWish {
  readonly filter: TapFilter;
  /** The pods that are meant right now; undefined: all. Asked again and again, since pods come and go. */
  readonly pods: () => readonly string[] | undefined;
}

interface Tap extends TapWish {
  readonly id: string;
  readonly response: ServerResponse;
  readonly nodes: Set<string>;
  isOn: boolean;
  leftOut: number;
}

export class LiveTaps {
  readonly #taps = new Map<string, Tap>();
  readonly #reporting: () => readonly string[];
  #count = 0;

  /** `reporting`: the nodes whose agents report now. */
  constructor(reporting: () => readonly string[]) {
    this.#reporting = reporting;
  }

  /** Makes room for a tap; what is answered serves it. Throws `observation.taps` where there are too many. */
  open(wish: TapWish): (response: ServerResponse) => void {
    if (this.#taps.size >= maxTaps) {
      throw new MeshError("observation.taps", `open a tap: ${maxTaps} are open already`, {
        fault: "user",
        retryable: true,
      });
    }
    return (response) => {
      const id = `tap-${++this.#count}`;
      const tap: Tap = { ...wish, id, response, nodes: new Set(), isOn: false, leftOut: 0 };
      this.#taps.set(id, tap);
      const quiet = setInterval(() => response.write("\n"), quietMs);
      response.on("close", () => {
        clearInterval(quiet);
        this.#taps.delete(id);
      });
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.flushHeaders();
    };
  }

  /** What agents are to serve. */
  orders(): readonly TapOrder[] {
    return [...this.#taps.values()].map(({ id, filter, pods }): TapOrder => {
      const meant = pods();
      return { id, filter, ...(meant === undefined ? {} : { pods: meant }) };
    });
  }

  /** Hands on what a node saw. */
  take(node: string, batches: readonly TapBatch[]): void {
    for (const { tap: id, requests, leftOut } of batches) {
      const tap = this.#taps.get(id);
      if (tap === undefined) continue; // its client has gone meanwhile
      tap.nodes.add(node);
      this.#turnOn(tap);
      tap.leftOut += leftOut;
      for (const request of requests) {
        if (tap.response.writableLength > maxUnreadBytes) tap.leftOut++;
        else send(tap, { kind: "request", request });
      }
      if (tap.leftOut > 0 && tap.response.writableLength <= maxUnreadBytes) {
        send(tap, { kind: "left-out", count: tap.leftOut });
        tap.leftOut = 0;
      }
    }
  }

  close(): void {
    for (const { response } of this.#taps.values()) response.destroy();
  }

  #turnOn(tap: Tap): void {
    if (tap.isOn || !this.#reporting().every((node) => tap.nodes.has(node))) return;
    tap.isOn = true;
    send(tap, { kind: "on", nodes: tap.nodes.size });
  }
}

function send({ response }: Tap, event: TapEvent): void {
  response.write(`${JSON.stringify(event)}\n`);
}
