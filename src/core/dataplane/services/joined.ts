/**
 * The pieces of all Services, put together, and kept from one list of Services to the next: a change costs what
 * changed.
 *
 * Lists are sorted and share their unchanged values, so what two lists have in common is a beginning and an end, and
 * only the middle is looked at. What is remembered is the last result alone, and only where it does not depend on
 * order: while no two Services claim the same, each has what it would have alone. As soon as two do, all is made anew,
 * so the answer never depends on what came before (a property test holds the two ways against each other).
 */

import type { Diagnostic } from "../../../base/compiled.ts";
import { middles } from "../../../base/middles.ts";
import type { ServiceView } from "../../../model/node-view.ts";
import { assignPorts, usualPorts } from "./numbers.ts";
import { type ChoiceUse, type NodePlace, type ServicePart, servicePart } from "./part.ts";

export interface Joined {
  /** One for each Service. */
  readonly parts: readonly ServicePart[];
  /** Chains that some group goes to, by name. */
  readonly choices: ReadonlyMap<string, ChoiceUse>;
  readonly diagnostics: readonly Diagnostic[];
}

interface State {
  readonly services: readonly ServiceView[];
  readonly where: string;
  readonly joined: Joined;
  /** What is claimed, numbers of ports among it, by whom; undefined while two claim the same. */
  readonly claims: Map<string | number, ServiceView> | undefined;
  readonly uses: Map<string, { readonly use: ChoiceUse; count: number }>;
}

export class ServiceJoiner {
  #state: State | undefined;

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
    const [gone, come, start] = middles(before.services, services);
    for (const service of gone)
      for (const claim of usualPorts(service).claims) claims.delete(claim);
    for (const service of come) if (!claimAll(service, claims)) return undefined;
    const old = before.joined.parts;
    const end = start + gone.length;
    const made = come.map((service) => partOf(service, place));
    const { uses } = before;
    for (const part of old.slice(start, end)) count(uses, part, -1);
    for (const part of made) count(uses, part, 1);
    const parts = [...old.slice(0, start), ...made, ...old.slice(end)];
    return {
      services,
      where: before.where,
      joined: { parts, choices: choicesOf(uses), diagnostics: [] },
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
    const claims = new Map<string | number, ServiceView>();
    const isPlain = services.every((service) => claimAll(service, claims));
    return {
      services,
      where,
      joined: { parts, choices: choicesOf(uses), diagnostics },
      claims: isPlain ? claims : undefined,
      uses,
    };
  }
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
