/**
 * The client's end of delta xDS: stages resources and hands out whole snapshots, decoded.
 *
 * Every response is taken into the stage and acknowledged at once; that says no more than "arrived". What counts is
 * the snapshot mark: when it comes, the stage is one consistent picture, it is decoded as a whole and handed out, and
 * the mark is acknowledged only when the consumer accepts it, or refused in the consumer's words. Without marks (SDS)
 * a snapshot is complete whenever all resources asked for are there.
 *
 * A stream that breaks is opened again with growing pauses, telling the versions that are staged, so that only what
 * differs is sent. A snapshot whose content the consumer already has is answered as the consumer answered before.
 */

import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { type MeshError, renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { DeltaResponse } from "../wire/xds/discovery.ts";
import { decodeResponse, encodeRequest } from "../wire/xds/discovery.ts";
import type { Node } from "../wire/xds/node.ts";
import type { EncodedResource, XdsResources } from "../wire/xds/resources.ts";
import { typeUrls } from "../wire/xds/resources.ts";
import type { DeltaConnection, OpenDelta } from "./delta-stream.ts";
import { Latest } from "./latest.ts";

export interface AdsClientOptions<T> {
  /** Opens a stream; called again whenever one has ended. */
  readonly open: OpenDelta;
  readonly node: Node;
  /** What to subscribe to; `["*"]` is everything of the type. */
  readonly subscriptions: readonly {
    readonly typeUrl: string;
    readonly names: readonly string[];
  }[];
  /** Whether the server ends its rounds with a snapshot mark. */
  readonly marks: boolean;
  /** Throws where the resources cannot be used; its message goes back to the server. */
  readonly decode: (resources: XdsResources) => T;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Snapshot<T> {
  readonly version: string;
  readonly value: T;
}

export interface SnapshotSource<T> {
  /** Complete snapshots, newest last; a slow consumer sees only the newest. One consumer at a time. */
  snapshots(signal: AbortSignal): AsyncIterable<Snapshot<T>>;
  /** The snapshot is in force. */
  accept(version: string): void;
  /** The snapshot cannot be used, and why; what was before goes on. */
  reject(version: string, error: string): void;
}

const reconnect = { baseMs: 50, maxMs: 2_000 };

export function createAdsClient<T>(options: AdsClientOptions<T>): SnapshotSource<T> {
  return new AdsClient(options);
}

/** What became of the snapshot that was handed out last. */
type Outcome =
  | { readonly kind: "none" }
  /** The consumer has it and has not answered. */
  | { readonly kind: "open"; readonly version: string }
  | { readonly kind: "accepted"; readonly version: string }
  | { readonly kind: "rejected"; readonly version: string; readonly error: string };

class AdsClient<T> implements SnapshotSource<T> {
  readonly #options: AdsClientOptions<T>;
  readonly #stage = new Map<string, Map<string, EncodedResource>>();
  readonly #latest = new Latest<Snapshot<T>>();
  #connection: DeltaConnection | undefined;
  #outcome: Outcome = { kind: "none" };
  /** The stage differs from what was handed out last. */
  #changed = true;
  /** Nonce of the mark that waits for the consumer's answer. */
  #unanswered: string | undefined;
  #marksSeen = 0;

  constructor(options: AdsClientOptions<T>) {
    this.#options = options;
    for (const { typeUrl } of options.subscriptions) this.#stage.set(typeUrl, new Map());
  }

  async *snapshots(signal: AbortSignal): AsyncGenerator<Snapshot<T>> {
    const stop = new AbortController();
    const until = AbortSignal.any([signal, stop.signal]);
    const running = this.#run(until);
    try {
      for (;;) {
        const snapshot = await this.#latest.take(until);
        if (snapshot === undefined) return;
        yield snapshot;
      }
    } finally {
      stop.abort();
      await running;
    }
  }

  accept(version: string): void {
    this.#answer({ kind: "accepted", version });
  }

  reject(version: string, error: string): void {
    this.#answer({ kind: "rejected", version, error });
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt++) {
      const seen = this.#marksSeen;
      const error = await this.#serve(signal);
      if (signal.aborted) return;
      if (this.#marksSeen > seen) attempt = 0;
      log.warn("configuration stream ended", { error: renderError(error), attempt });
      await clock.sleep(backoffMs(attempt, reconnect, random), signal).catch(() => undefined);
    }
  }

  /** One stream from its first request to its end; resolves with what ended it. */
  async #serve(signal: AbortSignal): Promise<MeshError> {
    const { promise, resolve } = Promise.withResolvers<MeshError>();
    this.#unanswered = undefined;
    const connection = this.#options.open({
      message: (bytes) => this.#receive(decodeResponse(bytes)),
      end: resolve,
    });
    this.#connection = connection;
    const close = () => connection.close();
    signal.addEventListener("abort", close, { once: true });
    this.#subscribe();
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", close);
      this.#connection = undefined;
      this.#unanswered = undefined;
    }
  }

  #subscribe(): void {
    const { node, subscriptions, marks } = this.#options;
    const mark = { typeUrl: typeUrls.snapshot, names: ["*"] };
    for (const [index, { typeUrl, names }] of [
      ...subscriptions,
      ...(marks ? [mark] : []),
    ].entries()) {
      this.#send({
        ...(index === 0 ? { node } : {}),
        typeUrl,
        subscribe: names,
        initialVersions: Object.fromEntries(
          [...(this.#stage.get(typeUrl) ?? [])].map(([name, { version }]) => [name, version]),
        ),
      });
    }
  }

  #receive(response: DeltaResponse): void {
    if (response.typeUrl === typeUrls.snapshot) {
      const version = response.resources[0]?.version ?? response.systemVersion;
      this.#complete(version, response.nonce);
      return;
    }
    const named = this.#stage.get(response.typeUrl);
    if (named === undefined) {
      const error = `type ${response.typeUrl} was not asked for`;
      this.#send({ typeUrl: response.typeUrl, nonce: response.nonce, error });
      return;
    }
    for (const resource of response.resources) {
      if (named.get(resource.name)?.version !== resource.version) this.#changed = true;
      named.set(resource.name, resource);
    }
    for (const name of response.removed) {
      if (named.delete(name)) this.#changed = true;
    }
    this.#send({ typeUrl: response.typeUrl, nonce: response.nonce });
    if (!this.#options.marks && this.#isComplete()) this.#complete(response.systemVersion);
  }

  #isComplete(): boolean {
    return this.#options.subscriptions.every(({ typeUrl, names }) =>
      names.every((name) => name === "*" || this.#stage.get(typeUrl)?.has(name) === true),
    );
  }

  #complete(version: string, nonce?: string): void {
    this.#marksSeen++;
    this.#unanswered = nonce;
    if (!this.#changed) {
      const { kind } = this.#outcome;
      if (kind === "accepted" || kind === "rejected") this.#answer({ ...this.#outcome, version });
      return;
    }
    this.#changed = false;
    this.#outcome = { kind: "open", version };
    let value: T;
    try {
      value = this.#options.decode(this.#stage);
    } catch (error) {
      this.#options.log.warn("snapshot refused", { version, error: renderError(error) });
      this.reject(version, renderError(error));
      return;
    }
    this.#latest.put({ version, value });
  }

  #answer(outcome: Outcome): void {
    if (outcome.kind === "none" || outcome.kind === "open") return;
    // An answer to a snapshot that has been replaced since says nothing about the new one.
    if (this.#outcome.kind === "open" && this.#outcome.version !== outcome.version) return;
    this.#outcome = outcome;
    const nonce = this.#unanswered;
    if (nonce === undefined) return;
    this.#unanswered = undefined;
    const typeUrl = typeUrls.snapshot;
    this.#send(
      outcome.kind === "rejected" ? { typeUrl, nonce, error: outcome.error } : { typeUrl, nonce },
    );
  }

  #send(request: {
    readonly node?: Node;
    readonly typeUrl: string;
    readonly subscribe?: readonly string[];
    readonly initialVersions?: Readonly<Record<string, string>>;
    readonly nonce?: string;
    readonly error?: string;
  }): void {
    this.#connection?.send(
      encodeRequest({
        subscribe: [],
        unsubscribe: [],
        initialVersions: {},
        nonce: "",
        ...request,
      }),
    );
  }
}
