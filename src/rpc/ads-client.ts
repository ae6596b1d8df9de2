/**
 * The client's end of delta xDS: stages resources and hands out whole snapshots, decoded.
 *
 * Every response is taken into the stage and acknowledged at once; that says no more than "arrived". What counts is
 * the snapshot mark: when it comes, the stage is one consistent picture, it is decoded as a whole and handed out, and
 * the mark is acknowledged only when the consumer accepts it, or refused in the consumer's words. Without marks (SDS)
 * a snapshot is complete whenever all resources asked for are there.
 *
 * A server of others marks nothing, and is asked by name for what is referred to (asking.ts). Its picture is
 * whole once everything is there that something in it refers to, or has been waited for long enough; each resource is
 * judged by itself, and where one is refused the one before it stays, as with Envoy. The answer that made the picture
 * whole is acknowledged, or refused, with the consumer's answer.
 *
 * A stream that breaks is opened again with growing pauses, telling the versions that are staged, so that only what
 * differs is sent. A snapshot whose content the consumer already has is answered as the consumer answered before.
 */

import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { type MeshError, renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { ReceivedResponse } from "../wire/xds/discovery.ts";
import { checkType, decodeResponse, encodeRequest } from "../wire/xds/discovery.ts";
import type { Node } from "../wire/xds/node.ts";
import type { XdsResources } from "../wire/xds/resources.ts";
import { typeUrls } from "../wire/xds/resources.ts";
import { type Asking, ofOthers, withMark } from "./asking.ts";
import { Awaited } from "./awaited.ts";
import type { DeltaConnection, OpenDelta } from "./delta-stream.ts";
import { Latest } from "./latest.ts";
import { judged, type OtherServers } from "./other-servers.ts";
import { Stage } from "./stage.ts";

export interface AdsClientOptions<T> {
  /** Opens a stream; called again whenever one has ended. */
  readonly open: OpenDelta;
  readonly node: Node;
  readonly subscriptions: readonly Asking[];
  /** Whether servers of ours end their rounds with a snapshot mark. */
  readonly marks: boolean;
  /** How to follow a server that is not ours; undefined: there is none. */
  readonly others?: OtherServers<T>;
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
/** So long a picture waits for what it refers to: Envoy's `initial_fetch_timeout`, unless one is configured. */
const fetchMs = 15_000;

/** Characters; whoever has so much wrong is told the first of it, in a message that servers take (grpc-go: 4 MiB). */
const longestRefusal = 16_384;

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
  readonly #stage: Stage;
  readonly #latest = new Latest<Snapshot<T>>();
  #connection: DeltaConnection | undefined;
  #outcome: Outcome = { kind: "none" };
  /** The mark, or what made the picture whole, that waits for the consumer's answer. */
  #unanswered: { readonly typeUrl: string; readonly nonce: string } | undefined;
  #snapshots = 0;
  /** What a server of others has been asked for by name; undefined until one has answered. */
  #awaited: Awaited | undefined;
  /** Whoever answered last marks his rounds. */
  #isMarking = false;
  /** The stream was asked for everything, as servers that mark their rounds want it. */
  #asksForAll = false;
  #signal: AbortSignal = AbortSignal.abort();

  constructor(options: AdsClientOptions<T>) {
    this.#options = options;
    this.#stage = new Stage(options.subscriptions.map(({ typeUrl }) => typeUrl));
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
    this.#signal = signal;
    let last = "";
    for (let attempt = 0; !signal.aborted; attempt++) {
      const seen = this.#snapshots;
      const error = await this.#serve(signal);
      if (signal.aborted) return;
      if (this.#snapshots > seen) attempt = 0;
      const text = renderError(error);
      // A server that does not know the method says so every two seconds.
      if (text === last) log.debug("configuration stream ended again", { error: text, attempt });
      else log.warn("configuration stream ended", { error: text, attempt });
      last = text;
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
    const { node, subscriptions, others } = this.#options;
    this.#asksForAll = others === undefined || this.#isMarking;
    const first = this.#asksForAll
      ? this.#everything()
      : ofOthers(subscriptions, others?.roots ?? [], this.#awaited);
    for (const [index, asking] of first.entries()) this.#ask(asking, index === 0 ? { node } : {});
  }

  #askForAll(): void {
    this.#asksForAll = true;
    for (const asking of this.#everything()) {
      if (this.#options.others?.roots.includes(asking.typeUrl) !== true) this.#ask(asking);
    }
  }

  #everything(): readonly Asking[] {
    const { subscriptions, marks } = this.#options;
    return marks ? withMark(subscriptions) : subscriptions;
  }

  #ask({ typeUrl, names }: Asking, more: { readonly node?: Node } = {}): void {
    const initialVersions = this.#stage.versions(typeUrl);
    this.#send({ ...more, typeUrl, subscribe: names, initialVersions });
  }

  #receive(response: ReceivedResponse): void {
    const { typeUrl, nonce } = response;
    const others = response.isMarked ? undefined : this.#options.others;
    this.#isMarking = response.isMarked;
    if (response.isMarked) {
      this.#awaited = undefined; // it says itself when its rounds are whole
      if (!this.#asksForAll) this.#askForAll();
    }
    if (others !== undefined && this.#asksForAll) {
      this.#connection?.close(); // somebody else's, in the place of one of ours: to be asked otherwise
      return;
    }
    if (typeUrl === typeUrls.snapshot) {
      this.#complete(response.resources[0]?.version ?? response.systemVersion, { typeUrl, nonce });
      return;
    }
    if (!this.#stage.holds(typeUrl)) {
      this.#send({ typeUrl, nonce, error: `type ${typeUrl} was not asked for` });
      return;
    }
    if (others !== undefined) {
      this.#receiveUnmarked(response, others);
      return;
    }
    for (const resource of response.resources) checkType(resource, typeUrl);
    this.#stage.take(response);
    this.#send({ typeUrl, nonce });
    if (!this.#options.marks && this.#isComplete()) this.#complete(response.systemVersion);
  }

  #receiveUnmarked(response: ReceivedResponse, others: OtherServers<T>): void {
    const { typeUrl, nonce, removed } = response;
    this.#awaited ??= this.#awaitAll(others.roots);
    const { sound, problems } = judged(response, others.check);
    this.#stage.take({ ...response, resources: sound });
    this.#awaited.answered(typeUrl, [...response.resources.map(({ name }) => name), ...removed]);
    this.#acknowledge();
    if (problems.length > 0) {
      const error = problems.join("; ");
      this.#options.log.warn("resources refused", { error: error.slice(0, longestRefusal) });
      this.#send({ typeUrl, nonce, error });
    }
    const answer = problems.length > 0 ? undefined : { typeUrl, nonce };
    this.#unanswered = answer;
    if (others.roots.includes(typeUrl)) this.#followReferences(this.#awaited, others);
    if (!this.#completeUnmarked()) this.#acknowledge();
  }

  /** What was kept for an answer that another has overtaken, or that nobody will give. */
  #acknowledge(): void {
    if (this.#unanswered !== undefined) this.#send(this.#unanswered);
    this.#unanswered = undefined;
  }

  #awaitAll(roots: readonly string[]): Awaited {
    const awaited = new Awaited(roots);
    this.#giveUpLater(awaited);
    return awaited;
  }

  #followReferences(awaited: Awaited, others: OtherServers<T>): void {
    for (const [typeUrl, names] of others.references(this.#options.decode(this.#stage.resources))) {
      const staged = this.#stage.named(typeUrl);
      const { subscribe, unsubscribe } = awaited.refer(typeUrl, names, staged);
      for (const name of unsubscribe) this.#stage.drop(typeUrl, name);
      if (subscribe.length > 0) this.#giveUpLater(awaited);
      if (subscribe.length + unsubscribe.length > 0) {
        this.#send({ typeUrl, subscribe, unsubscribe });
      }
    }
  }

  #giveUpLater(awaited: Awaited): void {
    const { turn } = awaited;
    const giveUp = (): void => {
      awaited.giveUp(turn);
      if (awaited === this.#awaited) this.#completeUnmarked();
    };
    void this.#options.clock.sleep(fetchMs, this.#signal).then(giveUp, () => undefined);
  }

  /** Whether the picture is whole. */
  #completeUnmarked(): boolean {
    if (this.#awaited?.isComplete !== true) return false;
    this.#complete(`${this.#snapshots + 1}`, this.#unanswered);
    return true;
  }

  #isComplete(): boolean {
    return this.#options.subscriptions.every(({ typeUrl, names }) =>
      names.every((name) => name === "*" || this.#stage.named(typeUrl).has(name)),
    );
  }

  #complete(version: string, unanswered?: { typeUrl: string; nonce: string }): void {
    this.#snapshots++;
    this.#unanswered = unanswered;
    if (!this.#stage.isChanged) {
      const { kind } = this.#outcome;
      if (kind === "accepted" || kind === "rejected") this.#answer({ ...this.#outcome, version });
      return;
    }
    this.#stage.isChanged = false;
    this.#outcome = { kind: "open", version };
    let value: T;
    try {
      value = this.#options.decode(this.#stage.resources);
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
    const answered = this.#unanswered;
    if (answered === undefined) return;
    this.#unanswered = undefined;
    this.#send(outcome.kind === "rejected" ? { ...answered, error: outcome.error } : answered);
  }

  #send(request: {
    readonly node?: Node;
    readonly typeUrl: string;
    readonly subscribe?: readonly string[];
    readonly unsubscribe?: readonly string[];
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
        ...(request.error === undefined ? {} : { error: request.error.slice(0, longestRefusal) }),
      }),
    );
  }
}
