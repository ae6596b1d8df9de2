/**
 * The server's end of delta xDS for one client: who asked for what, what it has, what it took and what it refused.
 *
 * Pure protocol: requests and offers in, responses out; no sockets, no clock. An offer is the client's whole wanted
 * state. It becomes a round: what the client lacks, per type in the order of make before break, then removals in the
 * opposite order, then (for clients that asked) the snapshot mark. One round is under way at a time, until each of
 * its responses is answered; offers that come meanwhile replace each other, so a slow client gets the newest world
 * next and never a backlog.
 *
 * Versions of resources are hashes of their bytes, so a client that reconnects and tells what it has gets what
 * differs. A refused resource is not sent again until it changes.
 */

import type { DeltaRequest, DeltaResponse } from "../wire/xds/discovery.ts";
import { encodeSnapshotMark } from "../wire/xds/discovery.ts";
import type { EncodedResource, XdsResources } from "../wire/xds/resources.ts";
import { shortType, typeUrls } from "../wire/xds/resources.ts";
import { Subscription } from "./subscription.ts";

export interface SessionStatus {
  /** Version of the last round that was sent, or found to change nothing. */
  readonly sent?: number;
  /** Highest version that the client has answered, either way. */
  readonly settled?: number;
  /** Highest version that is in force at the client. */
  readonly acked?: number;
  /** The last round's refusal; absent once a later round is accepted. */
  readonly rejected?: { readonly version: number; readonly error: string };
}

export interface SessionOptions {
  /** Types that may be asked for, in the order in which they are sent. */
  readonly types: readonly string[];
  readonly send: (response: DeltaResponse) => void;
  /** Called whenever the status has changed. */
  readonly changed?: (status: SessionStatus) => void;
  /** Called for each response that the client refuses. */
  readonly refused?: (typeUrl: string) => void;
}

interface Offer {
  readonly version: number;
  readonly resources: XdsResources;
}

const nothing: ReadonlyMap<string, EncodedResource> = new Map();

export class DeltaSession {
  readonly #options: SessionOptions;
  readonly #subscriptions = new Map<string, Subscription>();
  /** Nonce → type, of responses that wait for their answer. */
  readonly #unanswered = new Map<string, string>();
  #current: Offer | undefined;
  #next: Offer | undefined;
  #refusals: string[] = [];
  #wantsMarks = false;
  #nonces = 0;
  #status: SessionStatus = {};

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get status(): SessionStatus {
    return this.#status;
  }

  /** The client's whole wanted state at a version of the world. */
  offer(version: number, resources: XdsResources): void {
    if (this.#unanswered.size > 0) {
      this.#next = { version, resources };
      return;
    }
    this.#start({ version, resources });
  }

  request(request: DeltaRequest): void {
    const { typeUrl } = request;
    this.#answer(request);
    if (typeUrl === typeUrls.snapshot) {
      const isFirst = !this.#wantsMarks;
      this.#wantsMarks = true;
      if (isFirst && this.#current !== undefined) this.#sendMark(this.#current.version);
    } else if (this.#options.types.includes(typeUrl)) {
      this.#subscribe(request);
    }
    this.#settle();
  }

  #subscribe(request: DeltaRequest): void {
    const { typeUrl } = request;
    const known = this.#subscriptions.get(typeUrl);
    if (known === undefined) {
      this.#subscriptions.set(typeUrl, new Subscription(request));
    } else if (!known.change(request.subscribe, request.unsubscribe)) {
      return;
    }
    // Asked for in the middle of a round: answered from that round's world, so that it stays one picture.
    if (this.#current === undefined) return;
    this.#sendChanged(typeUrl, this.#current);
    this.#sendRemoved(typeUrl, this.#current);
  }

  #answer(request: DeltaRequest): void {
    if (request.nonce === "" || !this.#unanswered.delete(request.nonce)) return;
    if (request.error === undefined) return;
    this.#options.refused?.(request.typeUrl);
    this.#refusals.push(
      request.typeUrl === typeUrls.snapshot
        ? request.error
        : `${shortType(request.typeUrl)}: ${request.error}`,
    );
  }

  #start(offer: Offer): void {
    this.#current = offer;
    const standing = this.#refusals;
    this.#refusals = [];
    let sent = false;
    for (const typeUrl of this.#options.types) sent = this.#sendChanged(typeUrl, offer) || sent;
    for (const typeUrl of this.#options.types.toReversed()) {
      sent = this.#sendRemoved(typeUrl, offer) || sent;
    }
    // Nothing to change leaves a refusal standing: what was refused is still not in force.
    if (!sent) this.#refusals = standing;
    else if (this.#wantsMarks) this.#sendMark(offer.version);
    this.#settle();
  }

  #settle(): void {
    if (this.#unanswered.size > 0 || this.#current === undefined) return;
    this.#report(this.#current.version);
    const next = this.#next;
    this.#next = undefined;
    if (next !== undefined) this.#start(next);
  }

  #report(version: number): void {
    if (this.#subscriptions.size === 0) return;
    const before = this.#status;
    const standing =
      this.#refusals.length > 0 ? { version, error: this.#refusals.join("; ") } : undefined;
    if (before.settled === version && before.rejected?.error === standing?.error) return;
    const acked = standing === undefined ? version : before.acked;
    this.#status = {
      sent: version,
      settled: version,
      ...(acked === undefined ? {} : { acked }),
      ...(standing === undefined ? {} : { rejected: standing }),
    };
    this.#options.changed?.(this.#status);
  }

  #sendChanged(typeUrl: string, offer: Offer): boolean {
    const subscription = this.#subscriptions.get(typeUrl);
    if (subscription === undefined) return false;
    const resources = subscription.changed(offer.resources.get(typeUrl) ?? nothing);
    if (resources.length === 0) return false;
    this.#send({ typeUrl, systemVersion: `${offer.version}`, resources, removed: [] });
    // Envoy warms a changed cluster until it gets its endpoints again, changed or not.
    if (typeUrl === typeUrls.cluster && !this.#wantsMarks) {
      this.#subscriptions.get(typeUrls.endpoints)?.sendAgain(resources.map(({ name }) => name));
    }
    return true;
  }

  #sendRemoved(typeUrl: string, offer: Offer): boolean {
    const subscription = this.#subscriptions.get(typeUrl);
    if (subscription === undefined) return false;
    const removed = subscription.removed(offer.resources.get(typeUrl) ?? nothing);
    // An empty first answer says "nothing there", which a client waits for as it waits for something.
    const isFirst = subscription.greet();
    if (removed.length === 0 && !isFirst) return false;
    this.#send({ typeUrl, systemVersion: `${offer.version}`, resources: [], removed });
    return true;
  }

  #sendMark(version: number): void {
    const mark = encodeSnapshotMark(`${version}`);
    const { typeUrl } = mark;
    this.#send({ typeUrl, systemVersion: `${version}`, resources: [mark], removed: [] });
  }

  #send(response: Omit<DeltaResponse, "nonce">): void {
    const nonce = `${++this.#nonces}`;
    this.#unanswered.set(nonce, response.typeUrl);
    this.#options.send({ ...response, nonce });
  }
}
