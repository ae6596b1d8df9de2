/**
 * What is counted of the configuration that one sidecar is sent: responses and their sizes, refusals, and how long a
 * change takes until the sidecar has answered for it.
 *
 * A world that changes nothing for the sidecar is no push, and neither is what it gets when it connects. Worlds that come
 * while it is busy with one before are one push, as late as the oldest of them.
 */

import type { DeltaResponse } from "../../wire/xds/discovery.ts";
import { proxyTypes, typeUrls } from "../../wire/xds/resources.ts";
import type { ServerMetrics } from "../metrics.ts";

/** Istio's words. */
const labels: ReadonlyMap<string, string> = new Map([
  [typeUrls.cluster, "cds"],
  [typeUrls.endpoints, "eds"],
  [typeUrls.listener, "lds"],
  [typeUrls.route, "rds"],
  [typeUrls.secret, "sds"],
]);

const whole = "snapshot";

interface Offer {
  readonly version: number;
  readonly at: number;
  isSent: boolean;
}

export class Pushes {
  readonly #metrics: ServerMetrics;
  readonly #now: () => number;
  /** The one under way, and last what waits: one, for the newest is all that will be sent. */
  #offers: readonly Offer[] = [];

  constructor(metrics: ServerMetrics, now: () => number) {
    this.#metrics = metrics;
    this.#now = now;
  }

  /** A world has changed, and is about to be offered. */
  offered(version: number): void {
    const last = this.#offers.at(-1);
    const waiting = last?.isSent === false ? last : undefined;
    const others = this.#offers.filter((offer) => offer !== waiting);
    this.#offers = [...others, { version, at: waiting?.at ?? this.#now(), isSent: false }];
  }

  sent({ typeUrl, systemVersion }: DeltaResponse, bytes: number): void {
    const type = labels.get(typeUrl);
    if (type === undefined) return;
    this.#metrics.pushes.with({ type }).add(1);
    this.#metrics.pushedBytes.with({ type }).observe(bytes);
    const offer = this.#offers.find(({ version }) => `${version}` === systemVersion);
    if (offer !== undefined) offer.isSent = true;
  }

  /** Sidecars of ours refuse a configuration as a whole: its mark. */
  refused(typeUrl: string): void {
    this.#metrics.rejects.with({ type: labels.get(typeUrl) ?? whole }).add(1);
  }

  /** The sidecar has answered for the world of this version, either way. */
  settled(version: number): void {
    const done = this.#offers.filter((offer) => offer.version <= version);
    this.#offers = this.#offers.filter((offer) => offer.version > version);
    const [oldest] = done;
    if (oldest === undefined || !done.some(({ isSent }) => isSent)) return;
    this.#metrics.convergenceSeconds.observe((this.#now() - oldest.at) / 1000);
  }
}

/** So that what has not happened yet is zero, and not absent. */
export function showAllTypes({ pushes, pushedBytes, rejects }: ServerMetrics): void {
  for (const typeUrl of proxyTypes) {
    const type = labels.get(typeUrl) ?? "";
    for (const family of [pushes, pushedBytes, rejects]) family.with({ type });
  }
  rejects.with({ type: whole });
}
