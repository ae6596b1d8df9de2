/**
 * `GET /heddle/v1/stream`: the graph as server-sent events, one when reports have come, at most four a second.
 *
 * A graph is rendered once for all who look at the same time span. A client that does not read is not waited for: once
 * more than a megabyte lies unread in its connection, it is cut off, and may come again. Comments keep quiet
 * connections alive.
 */

import type { ServerResponse } from "node:http";
import { MeshError } from "../../base/error.ts";
import type { ExtensionAnswer } from "../api/handler.ts";
import type { Observatory } from "./observatory.ts";

const leastGapMs = 250;
const quietMs = 10_000;
const maxUnreadBytes = 1024 * 1024;
const maxClients = 64;

interface Client {
  readonly response: ServerResponse;
  readonly seconds: number;
}

export class EventStream {
  readonly #observatory: Observatory;
  readonly #clients = new Set<Client>();
  #timer: NodeJS.Timeout | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;
  #lastAt = 0;

  constructor(observatory: Observatory) {
    this.#observatory = observatory;
  }

  answer(seconds: number): ExtensionAnswer {
    if (this.#clients.size >= maxClients) {
      throw new MeshError("observation.streams", `open a stream: ${maxClients} are open already`, {
        fault: "user",
        retryable: true,
      });
    }
    return { stream: (response) => this.#open({ response, seconds }) };
  }

  close(): void {
    for (const { response } of this.#clients) response.destroy();
  }

  #open(client: Client): void {
    const { response } = client;
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    this.#clients.add(client);
    response.on("close", () => this.#leave(client));
    response.on("error", () => this.#leave(client));
    this.#send(client, this.#event(client.seconds)); // what is known already
    if (this.#clients.size > 1) return;
    this.#stopListening = this.#observatory.onReport(() => this.#schedule());
    this.#quiet = setInterval(() => {
      for (const each of this.#clients) this.#send(each, ": quiet\n\n");
    }, quietMs);
  }

  #leave(client: Client): void {
    if (!this.#clients.delete(client) || this.#clients.size > 0) return;
    clearTimeout(this.#timer);
    clearInterval(this.#quiet);
    this.#timer = undefined;
    this.#stopListening?.();
  }

  #schedule(): void {
    if (this.#timer !== undefined) return;
    const wait = Math.max(0, this.#lastAt + leastGapMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#lastAt = performance.now();
      const events = new Map<number, string>();
      for (const client of this.#clients) {
        let event = events.get(client.seconds);
        if (event === undefined) {
          event = this.#event(client.seconds);
          events.set(client.seconds, event);
        }
        this.#send(client, event);
      }
    }, wait);
  }

  #event(seconds: number): string {
    return `event: graph\ndata: ${JSON.stringify(this.#observatory.graph(seconds))}\n\n`;
  }

  #send({ response }: Client, text: string): void {
    if (response.writableLength > maxUnreadBytes) response.destroy();
    else response.write(text);
  }
}
