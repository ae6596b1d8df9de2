/**
 * Choosing among a part of a cluster's hosts, which the request's route names by what they say of themselves (Envoy's
 * subset load balancer).
 *
 * A route names a part by exactly the keys of a selector. Where it names none, or one that no host is in, the fallback
 * says who gets the request. A part whose hosts are all unwell is there still: nobody else takes its requests. Pickers
 * of parts are made when first asked for; whatever changes among hosts begins anew.
 */

import { canonicalJson, sameJson } from "../../../base/json.ts";
import type { BalancerMetadata, SubsetFallback, Subsets } from "../../../model/proxy-config.ts";
import type { Candidate, Picker } from "./picker.ts";

/** A part as a route names it. */
export interface SubsetName {
  readonly metadata: BalancerMetadata;
  /** Equal for parts of the same keys, and of the same values, too. */
  readonly keys: string;
  readonly text: string;
}

export interface Described extends Candidate {
  readonly metadata: BalancerMetadata | undefined;
}

interface Part<H extends Described> {
  readonly hosts: readonly H[];
  readonly picker: Picker<H>;
}

export function subsetName(metadata: BalancerMetadata): SubsetName {
  return { metadata, keys: nameOf(Object.keys(metadata)), text: canonicalJson(metadata) };
}

export class SubsetPicker<H extends Described> implements Picker<H> {
  readonly #subsets: Subsets;
  /** The fallbacks of selectors by their keys. */
  readonly #fallbacks: ReadonlyMap<string, SubsetFallback>;
  readonly #hosts: readonly H[];
  readonly #pickerOf: (hosts: readonly H[]) => Picker<H>;
  /** By the name of a part, or of a fallback. */
  readonly #parts = new Map<string, Part<H>>();

  constructor(subsets: Subsets, hosts: readonly H[], pickerOf: (hosts: readonly H[]) => Picker<H>) {
    this.#subsets = subsets;
    this.#hosts = hosts;
    this.#pickerOf = pickerOf;
    this.#fallbacks = new Map(
      subsets.selectors.map(({ keys, fallback = subsets.fallback }) => [nameOf(keys), fallback]),
    );
  }

  pick(key?: number, wanted?: SubsetName): H | undefined {
    return this.#partFor(wanted).picker.pick(key);
  }

  /** Whom such a request may go to. */
  members(wanted: SubsetName | undefined): readonly H[] {
    return this.#partFor(wanted).hosts;
  }

  #partFor(wanted: SubsetName | undefined): Part<H> {
    if (wanted === undefined) return this.#fallback(this.#subsets.fallback);
    const known = this.#parts.get(wanted.text);
    if (known !== undefined) return known;
    const fallback = this.#fallbacks.get(wanted.keys);
    const hosts = fallback === undefined ? [] : this.#matching(wanted.metadata);
    const part =
      hosts.length === 0
        ? this.#fallback(fallback ?? this.#subsets.fallback)
        : { hosts, picker: this.#pickerOf(hosts) };
    this.#parts.set(wanted.text, part);
    return part;
  }

  #fallback(fallback: SubsetFallback): Part<H> {
    const known = this.#parts.get(fallback);
    if (known !== undefined) return known;
    const hosts = this.#fallbackHosts(fallback);
    const part = { hosts, picker: this.#pickerOf(hosts) };
    this.#parts.set(fallback, part);
    return part;
  }

  #fallbackHosts(fallback: SubsetFallback): readonly H[] {
    switch (fallback) {
      case "none":
        return [];
      case "any":
        return this.#hosts;
      case "default":
        return this.#matching(this.#subsets.defaultPart);
    }
  }

  #matching(wanted: BalancerMetadata): readonly H[] {
    const entries = Object.entries(wanted);
    return this.#hosts.filter(({ metadata = {} }) =>
      entries.every(
        ([key, value]) => Object.hasOwn(metadata, key) && sameJson(metadata[key], value),
      ),
    );
  }
}

function nameOf(keys: readonly string[]): string {
  return JSON.stringify([...keys].sort());
}
