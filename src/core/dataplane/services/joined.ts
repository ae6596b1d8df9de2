/**
 * The pieces of all Services, put together, and kept from one list of Services to the next: a change costs what changed.
 *
 * Lists are sorted and share their unchanged values, so what two lists have in common is a beginning and an end, and
 * only the middle is looked at. What is remembered is the last result alone, and only where it does not depend on
 * order: while no two Services claim the same, each has what it would have alone. As soon as two do, all is made anew,
 * so the answer never depends on what came before (a property test holds the two ways against each other).
 */

import type { Diagnostic } from "../../../base/compiled.ts";
import type { ServiceView } from "../../../model/node-view.ts";
import { assignPorts, usualPorts } from "./numbers.ts";
import { type ChoiceUse, type NodePlace, type ServicePart, servicePart } from "./part.ts";

export interface Joined {
  /** By name of the map: for each Service its piece, where it has one; empty where none has. */
  readonly pieces: ReadonlyMap<string, readonly (Piece | undefined)[]>;
  /** Chains that some group goes to, by name. */
  readonly choices: ReadonlyMap<string, ChoiceUse>;
  readonly diagnostics: readonly Diagnostic[];
}

type Piece = ReadonlyMap<string, string>;

interface State {
  readonly services: readonly ServiceView[];
  readonly where: string;
  readonly parts: readonly ServicePart[];
  readonly joined: Joined;
  /** What is claimed, numbers of ports among it, by whom; undefined while two claim the same. */
  readonly claims: Map<string | number, ServiceView> | undefined;
  readonly uses: Map<string, { readonly use: ChoiceUse; count: number }>;
}

export class ServiceJoiner {
  #state: State | undefined;
  readonly #maps: readonly string[];

  /** `maps`: the names of all maps that a Service may have elements in. */
  constructor(maps: readonly string[]) {
    this.#maps = maps;
  }

  join(services: readonly ServiceView[], place: NodePlace): Joined {
    const where = JSON.stringify(place);
    const before = this.#state;
    const next =
      before?.claims !== undefined && before.where === where
        ? this.#changed(before, before.claims, services, place)
        : undefined;
    this.#state = next ?? this.#afresh(services, place, where);
    return this.#state.joined;
  }

  /** Undefined where a Service that came claims what another has. The claims of before are used up by it. */
  #changed(
    before: State,
    claims: Map<string | number, ServiceView>,
    services: readonly ServiceView[],
    place: NodePlace,
  ): State | undefined {
    const { start, end, endBefore } = middle(before.services, services);
    const gone = before.services.slice(start, endBefore);
    const come = services.slice(start, end);
    for (const service of gone)
      for (const claim of usualPorts(service).claims) claims.delete(claim);
    for (const service of come) if (!claimAll(service, claims)) return undefined;
    const parts = come.map((service) => partOf(service, place));
    const { uses } = before;
    for (const part of before.parts.slice(start, endBefore)) count(uses, part, -1);
    for (const part of parts) count(uses, part, 1);
    const splice = <T>(list: readonly T[], middle: readonly T[]): readonly T[] => [
      ...list.slice(0, start),
      ...middle,
      ...list.slice(endBefore),
    ];
    const pieces = new Map(
      this.#maps.map((map) => {
        const old = before.joined.pieces.get(map) ?? nothing;
        const own = parts.map((part) => part.elements.get(map));
        if (old.length > 0) return [map, orNothing(splice(old, own))] as const;
        return [map, piecesOf(map, own.some(isThere) ? splice(before.parts, parts) : [])] as const;
      }),
    );
    return {
      services,
      where: before.where,
      parts: splice(before.parts, parts),
      joined: { pieces, choices: choicesOf(uses), diagnostics: [] },
      claims,
      uses,
    };
  }

  #afresh(services: readonly ServiceView[], place: NodePlace, where: string): State {
    const { assigned, diagnostics } = assignPorts(services);
    const parts = assigned.map(({ service, ports, lost }) =>
      servicePart(service, ports, place, (claim) => lost.has(claim)),
    );
    const uses: State["uses"] = new Map();
    for (const part of parts) count(uses, part, 1);
    const pieces = new Map(this.#maps.map((map) => [map, piecesOf(map, parts)] as const));
    const claims = new Map<string | number, ServiceView>();
    const isPlain = services.every((service) => claimAll(service, claims));
    return {
      services,
      where,
      parts,
      joined: { pieces, choices: choicesOf(uses), diagnostics },
      claims: isPlain ? claims : undefined,
      uses,
    };
  }
}

const nothing: readonly (Piece | undefined)[] = [];

/** Empty where no Service has one: most maps are not used at all. */
function piecesOf(map: string, parts: readonly ServicePart[]): readonly (Piece | undefined)[] {
  return orNothing(parts.map((part) => part.elements.get(map)));
}

function orNothing(pieces: readonly (Piece | undefined)[]): readonly (Piece | undefined)[] {
  return pieces.some(isThere) ? pieces : nothing;
}

function isThere(piece: Piece | undefined): boolean {
  return piece !== undefined;
}

/** Where two lists stop being the same from the front, and from the back. */
function middle(
  before: readonly ServiceView[],
  after: readonly ServiceView[],
): { readonly start: number; readonly end: number; readonly endBefore: number } {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start += 1;
  let tail = 0;
  while (
    tail < shorter - start &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) {
    tail += 1;
  }
  return { start, end: after.length - tail, endBefore: before.length - tail };
}

/** False where another has one of them. */
function claimAll(service: ServiceView, claims: Map<string | number, ServiceView>): boolean {
  for (const claim of usualPorts(service).claims) {
    if (claims.has(claim)) return false;
    claims.set(claim, service);
  }
  return true;
}

function partOf(service: ServiceView, place: NodePlace): ServicePart {
  return servicePart(service, usualPorts(service).ports, place, () => false);
}

function count(uses: State["uses"], part: ServicePart, by: 1 | -1): void {
  for (const [name, use] of part.choices) {
    const known = uses.get(name);
    if (known === undefined) uses.set(name, { use, count: 1 });
    else if (known.count + by === 0) uses.delete(name);
    else known.count += by;
  }
}

function choicesOf(uses: State["uses"]): ReadonlyMap<string, ChoiceUse> {
  return new Map([...uses].map(([name, { use }]) => [name, use]));
}
