/**
 * A sidecar: tables in force, listening sockets, live connections, and the steps between configurations.
 *
 * `apply` is all or nothing: everything is compiled and every new port opened before the first reference is swapped.
 * From then on new requests see the new tables; those in flight finish as they began.
 */

import { renderError } from "../base/error.ts";
import { type BuildOptions, prepare } from "./config/build.ts";
import type { ConfigSource, ProxySnapshot } from "./config/source.ts";
import type { Tables } from "./config/tables.ts";
import { TlsContexts } from "./config/tls-contexts.ts";
import type { Environment } from "./environment.ts";
import { Captures } from "./listen/captures.ts";
import { Connections } from "./listen/connections.ts";
import type { OriginalDestination, Runtime } from "./listen/runtime.ts";
import { ServerFirst } from "./listen/server-first.ts";
import { collectProxyMetrics } from "./observe/proxy-metrics.ts";
import { Recorder } from "./observe/recorder.ts";
import { SpanExporters } from "./observe/span-exporter.ts";
import type { Legacy } from "./succession.ts";
import { namesIn } from "./upstream/names/members.ts";

const sweepMs = 1_000;
/**
 * So long a draining sidecar closes on nobody who may be about to ask: that would lose the request. Clients that ask
 * meanwhile are told with the answer that it is the last; who asked nothing for so long will hardly begin just then.
 */
const mostGraceMs = 1_000;
/** So long the end waits for collectors to take the last spans: one that hangs must not hold up each pod that goes. */
const lastSpansMs = 1_000;
/** How long a configuration waits for names that it is the first to have. */
const firstLookUpMs = 1_000;

export interface SidecarOptions {
  readonly environment: Environment;
  readonly originalDestination: OriginalDestination;
  readonly accessLog?: (line: string) => void;
}

export class Sidecar {
  readonly runtime: Runtime;
  readonly #captures: Captures;
  readonly #build: BuildOptions;
  readonly #spans: SpanExporters;
  readonly #sweep: NodeJS.Timeout;
  #hasTables = false;
  #isClosed = false;

  constructor(options: SidecarOptions) {
    const { environment } = options;
    const recorder = new Recorder(environment);
    this.#spans = new SpanExporters(environment);
    this.runtime = {
      environment,
      recorder,
      connections: new Connections(environment.limits.maxConnections),
      serverFirst: new ServerFirst(),
      originalDestination: options.originalDestination,
      tables: noTables(environment),
    };
    this.#build = {
      environment,
      recorder,
      spans: this.#spans,
      ...(options.accessLog === undefined ? {} : { accessLog: options.accessLog }),
    };
    this.#captures = new Captures(this.runtime);
    environment.overload.watch(() => this.runtime.connections.all);
    this.#sweep = setInterval(() => this.#onSweep(), sweepMs);
    this.#sweep.unref();
    collectProxyMetrics(environment.metrics, this.runtime);
  }

  /** A complete configuration is in force and its ports are open. */
  get isReady(): boolean {
    return this.#hasTables && !this.runtime.environment.isDraining;
  }

  get tables(): Tables {
    return this.runtime.tables;
  }

  portOf(listener: string): number | undefined {
    return this.#captures.portOf(listener);
  }

  /** Puts a snapshot in force; throws, with nothing changed, when it cannot be. */
  async apply(snapshot: ProxySnapshot): Promise<void> {
    const before = this.#hasTables ? this.runtime.tables : undefined;
    const prepared = prepare(snapshot, before, this.#build);
    const swapListeners = await this.#captures.open(prepared.listeners);
    await this.#lookUpNames(snapshot);
    if (this.#isClosed) return swapListeners();
    this.runtime.tables = prepared.commit();
    swapListeners();
    this.#hasTables = true;
  }

  /** A request that comes first should not be told that a name leads nowhere just because nobody has asked yet. */
  async #lookUpNames({ config }: ProxySnapshot): Promise<void> {
    const wanted = config.clusters.flatMap(({ discovery }) =>
      discovery.kind === "dns" ? namesIn(discovery) : [],
    );
    await this.runtime.environment.names.settled([...new Set(wanted)], firstLookUpMs);
  }

  /** Follows a source until it ends or `signal` aborts. `onReady` is called once, after the first snapshot. */
  async follow(source: ConfigSource, signal: AbortSignal, onReady: () => void): Promise<void> {
    const { log } = this.runtime.environment;
    for await (const snapshot of source.snapshots(signal)) {
      try {
        await this.apply(snapshot);
      } catch (error) {
        const reason = renderError(error);
        log.warn("reject configuration", { version: snapshot.version, reason });
        source.reject(snapshot.version, reason);
        continue;
      }
      source.accept(snapshot.version);
      log.debug("apply configuration", { version: snapshot.version });
      onReady();
    }
  }

  /** Sockets that a predecessor listens on, taken over by the listeners of the first snapshot. */
  inherit({ sockets, serverFirst }: Legacy): void {
    this.#captures.inherit(sockets);
    for (const destination of serverFirst) this.runtime.serverFirst.add(destination);
  }

  /** What a successor is to have. */
  get legacy(): Legacy {
    return { sockets: this.#captures.descriptors, serverFirst: this.runtime.serverFirst.all };
  }

  /** Takes no more connections for good, and lets what is in flight finish for a bounded time. */
  drainListeners(): Promise<void> {
    return this.#finish("drain", this.runtime.environment.limits.drainMs);
  }

  /** The same, for so long at most, then closes everything. */
  async drain(withinMs: number = this.runtime.environment.limits.drainMs): Promise<void> {
    await this.#finish("drain", withinMs);
    this.close();
  }

  /**
   * Somebody else takes new connections. Those that are here go on until their next answer, which says that it is the
   * last, or their own end; a connection is never closed on a client that may be about to use it. `until` ends it
   * early.
   */
  async retire(until: AbortSignal): Promise<void> {
    await Promise.race([
      this.#finish("retire", this.runtime.environment.limits.retireMs),
      new Promise<void>((resolve) => {
        until.addEventListener("abort", () => resolve(), { once: true });
      }),
    ]);
    this.close();
  }

  async #finish(how: "drain" | "retire", withinMs: number): Promise<void> {
    const { environment, connections } = this.runtime;
    environment.isDraining = true;
    this.#captures.close();
    const { now } = environment;
    const until = now() + withinMs;
    if (how === "drain") {
      await within(Math.min(mostGraceMs, withinMs / 2), connections.finish("retire"));
    }
    const finished = connections.finish(how).then(() => within(lastSpansMs, this.#spans.finish()));
    await within(until - now(), finished);
  }

  /** Closes everything at once. */
  close(): void {
    const { environment, connections, tables } = this.runtime;
    this.#isClosed = true;
    environment.isDraining = true;
    this.#captures.close();
    connections.destroy();
    for (const cluster of tables.clusters.values()) cluster.drain();
    clearInterval(this.#sweep);
    environment.wheel.stop();
    environment.names.stop();
  }

  #onSweep(): void {
    const { environment, connections, tables } = this.runtime;
    const now = environment.now();
    connections.sweep(now);
    environment.overload.measure();
    for (const cluster of tables.clusters.values()) cluster.sweep();
  }
}

/** As with the wheel, what has arrived is read before the time is found to be over: a request may be among it. */
async function within(ms: number, done: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => setImmediate(resolve), Math.max(0, ms));
  });
  await Promise.race([done, late]);
  clearTimeout(timer);
}

/** Before the first snapshot: nothing is listened on, so nothing is looked up. */
function noTables(environment: Environment): Tables {
  return {
    version: "",
    config: { listeners: [], routes: [], clusters: [], endpoints: [] },
    secrets: [],
    listeners: [],
    clusters: new Map(),
    contexts: new TlsContexts([], environment),
    virtualListener: () => undefined,
    chain: () => undefined,
  };
}
