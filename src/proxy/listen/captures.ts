/**
 * The listening sockets of captured connections: one per bound listener, kept for as long as its address stays.
 *
 * A configuration change touches only what it adds or takes away; a socket that stays keeps its queue, so no connection
 * attempt is lost.
 */

import { closeSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { MeshError } from "../../base/error.ts";
import type { ListenerTable, Tables } from "../config/tables.ts";
import type { Where } from "../observe/admin.ts";
import { listeningDescriptor } from "../succession.ts";
import { accept } from "./accept.ts";
import type { Runtime } from "./runtime.ts";

interface Capture {
  readonly server: Server;
  /** The listener as it is configured now; connections that come in belong to it. */
  listener: ListenerTable;
}

export class Captures {
  readonly #runtime: Runtime;
  readonly #captures = new Map<string, Capture>();
  /** A predecessor's, by address; each is taken once. */
  readonly #inherited = new Map<string, number>();
  #isClosed = false;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  inherit(descriptors: ReadonlyMap<string, number>): void {
    for (const [key, descriptor] of descriptors) this.#inherited.set(key, descriptor);
  }

  /** Of the sockets that listen, by address. */
  get descriptors(): ReadonlyMap<string, number> {
    return new Map(
      [...this.#captures].flatMap(([key, { server }]) => {
        const descriptor = listeningDescriptor(server);
        return descriptor === undefined ? [] : [[key, descriptor] as const];
      }),
    );
  }

  /** Opens what is new, then points what stays at its new configuration. Throws before anything changed. */
  async open(tables: Tables["listeners"]): Promise<() => void> {
    const bound = this.#isClosed ? [] : tables.filter((listener) => listener.bindToPort);
    const fresh: [string, Capture][] = [];
    try {
      for (const listener of bound) {
        const key = keyOf(listener);
        if (!this.#captures.has(key)) fresh.push([key, await this.#listen(listener)]);
      }
    } catch (error) {
      for (const [, { server }] of fresh) server.close();
      throw error;
    }
    this.#disinherit();
    return () => {
      if (this.#isClosed) {
        for (const [, { server }] of fresh) server.close();
        return;
      }
      for (const [key, capture] of fresh) this.#captures.set(key, capture);
      const wanted = new Map(bound.map((listener) => [keyOf(listener), listener]));
      for (const [key, capture] of this.#captures) {
        const listener = wanted.get(key);
        if (listener !== undefined) capture.listener = listener;
        else {
          capture.server.close();
          this.#captures.delete(key);
        }
      }
    };
  }

  async #listen(listener: ListenerTable): Promise<Capture> {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
    const capture: Capture = { server, listener };
    server.on("connection", (socket) => accept(this.#runtime, socket, capture.listener));
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ ...this.#placeOf(listener), backlog: 4096 }, () => resolve());
      });
    } catch (cause) {
      const { address, port, name } = listener;
      throw new MeshError("proxy.listen", `listen on ${address}:${port} for ${name}`, { cause });
    }
    return capture;
  }

  /** Of a predecessor, or of whoever makes sockets for the pod, or else to be opened. */
  #placeOf(listener: ListenerTable): Where {
    const { address: host, port } = listener;
    const key = keyOf(listener);
    const inherited = this.#inherited.get(key);
    this.#inherited.delete(key);
    const descriptor = inherited ?? this.#runtime.environment.sockets.bind(host, port);
    return descriptor === undefined ? { host, port } : { fd: descriptor };
  }

  /** The port that a listener was given where its configuration leaves it open (0); for tests. */
  portOf(name: string): number | undefined {
    for (const { server, listener } of this.#captures.values()) {
      if (listener.name === name) return (server.address() as AddressInfo).port;
    }
    return undefined;
  }

  /** What of a predecessor nobody has use for. */
  #disinherit(): void {
    for (const descriptor of this.#inherited.values()) closeSync(descriptor);
    this.#inherited.clear();
  }

  /** Takes no more connections, whatever configuration comes. */
  close(): void {
    this.#isClosed = true;
    this.#disinherit();
    for (const { server } of this.#captures.values()) server.close();
    this.#captures.clear();
  }
}

function keyOf(listener: ListenerTable): string {
  return listener.port === 0 ? `${listener.name}` : `${listener.address}:${listener.port}`;
}
