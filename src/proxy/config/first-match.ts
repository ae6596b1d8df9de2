/**
 * The first of a virtual host's routes that takes a request, in the order in which they are written.
 *
 * Few routes are asked one after the other, as Envoy does. Many are filed by path: exact ones in a map, prefixes by
 * their length, and only what is left (regular expressions, paths whose case does not matter) in a row; of those that
 * the path leads to, the first that also takes the rest of the request is it. `bench/config-growth` has the figures.
 */

import type { RouteMatch } from "../../model/proxy-config.ts";
import { ByLength } from "./by-length.ts";
import type { Matcher, Subject } from "./matchers.ts";

export interface Matching {
  readonly match: RouteMatch;
  readonly matches: Matcher;
}

/** Up to here asking each is cheaper than looking up. */
const fewRoutes = 8;

export function compileFirstMatch<R extends Matching>(
  routes: readonly R[],
): (subject: Subject) => R | undefined {
  if (routes.length > fewRoutes) return new PathIndex(routes).find;
  return (subject) => {
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i];
      if (route?.matches(subject)) return route;
    }
    return undefined;
  };
}

/** Places in the order of the routes, ascending. */
type Places = number[];

class PathIndex<R extends Matching> {
  readonly #routes: readonly R[];
  readonly #exact = new Map<string, Places>();
  readonly #prefixes = new ByLength<Places>("start");
  /** Those that no path leads to. */
  readonly #others: Places = [];

  constructor(routes: readonly R[]) {
    this.#routes = routes;
    for (const [place, { match }] of routes.entries()) this.#placesFor(match).push(place);
  }

  readonly find = (subject: Subject): R | undefined => {
    const { path } = subject;
    let first = this.#firstOf(this.#others, subject, this.#routes.length);
    if (path !== undefined) {
      first = this.#firstOf(this.#exact.get(path), subject, first);
      for (const places of this.#prefixes.all(path)) first = this.#firstOf(places, subject, first);
    }
    return this.#routes[first];
  };

  /** The first of `places` whose route matches, where that is before `limit`; else `limit`. */
  #firstOf(places: Places | undefined, subject: Subject, limit: number): number {
    if (places === undefined) return limit;
    for (let i = 0; i < places.length; i++) {
      const place = places[i] ?? limit;
      if (place >= limit) return limit;
      if (this.#routes[place]?.matches(subject)) return place;
    }
    return limit;
  }

  #placesFor({ path: { kind, value }, ignoreCase = false }: RouteMatch): Places {
    if (ignoreCase || kind === "regex") return this.#others;
    if (kind === "prefix") return this.#prefixes.at(value, () => []);
    const known = this.#exact.get(value);
    if (known !== undefined) return known;
    const places: Places = [];
    this.#exact.set(value, places);
    return places;
  }
}
