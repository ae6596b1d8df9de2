/**
 * The connected clients: each gets every world offered, newest only, and its answers are kept for people to see.
 */

import type { Clock } from "../../base/clock.ts";
import type { Diagnostic } from "../../base/compiled.ts";
import { MeshError, renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { World } from "../../core/registry/world.ts";
import type { DeltaSession, SessionStatus } from "../../rpc/delta-session.ts";
import type { Client } from "../../wire/xds/node.ts";
import type { Configurations } from "./configuration.ts";
import type { Pushes } from "./pushes.ts";

/** One connected client, for `status` and `--wait`. */
export interface ClientStatus extends SessionStatus {
  readonly id: string;
  readonly kind: Client["kind"];
  readonly node: string;
  readonly connectedAt: string;
  /** What in the world made its configuration weaker than asked. */
  readonly notes?: readonly Diagnostic[];
}

export interface NewClient {
  readonly client: Client;
  readonly node: string;
  readonly session: DeltaSession;
  readonly end: (error: unknown) => void;
  /** Told what it is offered. */
  readonly pushes?: Pushes;
}

interface Connected extends NewClient {
  readonly since: number;
  notes: readonly Diagnostic[];
}

export interface ClientsOptions {
  readonly configurations: Configurations;
  readonly current: () => World;
  readonly clock: Clock;
  readonly log: Log;
  /** Called where a configuration cannot be made. */
  readonly failed?: () => void;
}

export class Clients {
  readonly #options: ClientsOptions;
  readonly #connected = new Map<string, Connected>();
  #waiting: (() => void)[] = [];

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  /** Makes the first offer; returns what to do when the stream ends. */
  add(added: NewClient): () => void {
    const { client } = added;
    const id = idOf(client);
    // The newer stream wins: the older one may be a connection that broke without a word.
    const older = this.#connected.get(id);
    const since = this.#options.clock.now();
    const connected: Connected = { ...added, since, notes: [] };
    this.#connected.set(id, connected);
    older?.end(new MeshError("xds.superseded", `${id} connected again`));
    this.#offer(connected, this.#options.current());
    return () => {
      if (this.#connected.get(id) !== connected) return;
      this.#connected.delete(id);
      this.#options.configurations.forget(client);
      this.changed();
    };
  }

  offerAll(world: World): void {
    for (const connected of this.#connected.values()) {
      connected.pushes?.offered(world.version);
      this.#offer(connected, world);
    }
  }

  /** Some client's status has changed. */
  changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** How many are connected, by kind. */
  counts(): Readonly<Record<Client["kind"], number>> {
    const all = [...this.#connected.values()];
    const agent = all.filter(({ client }) => client.kind === "agent").length;
    return { agent, sidecar: all.length - agent };
  }

  status(): readonly ClientStatus[] {
    return [...this.#connected]
      .map(([id, { client, node, session, since, notes }]) => ({
        id,
        kind: client.kind,
        node,
        connectedAt: new Date(since).toISOString(),
        ...session.status,
        ...(notes.length === 0 ? {} : { notes }),
      }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /**
   * Resolves when every connected client has taken or refused a world of at least the version. Whoever disconnects is
   * not waited for; whoever connects meanwhile starts with a world that has it.
   */
  async settled(version: number, signal: AbortSignal): Promise<readonly ClientStatus[]> {
    for (;;) {
      signal.throwIfAborted();
      const status = this.status();
      if (status.every(({ settled }) => settled !== undefined && settled >= version)) return status;
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = (): void => resolve();
      this.#waiting.push(wake);
      signal.addEventListener("abort", wake, { once: true });
      await promise;
      signal.removeEventListener("abort", wake);
    }
  }

  /** What goes wrong with one client's configuration must not keep the others from theirs. */
  #offer(connected: Connected, world: World): void {
    const { client, session } = connected;
    try {
      const made = this.#options.configurations.for(client, world);
      if (made === undefined) return;
      connected.notes = made.diagnostics;
      session.offer(world.version, made.resources);
    } catch (error) {
      const version = world.version;
      this.#options.failed?.();
      this.#options.log.error("configuration is not made", {
        client: idOf(client),
        version,
        error: renderError(error),
      });
    }
  }
}

function idOf(client: Client): string {
  return client.kind === "agent" ? `agent~${client.node}` : client.proxy.id;
}
