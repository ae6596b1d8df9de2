/**
 * Choosing among hosts of several priorities and localities, by Envoy's rules, in front of a picker for each.
 *
 * A priority takes so much of the traffic as its healthy part, times the overprovisioning factor, up to all of it; what
 * it cannot take goes to the next. Where all priorities together are not healthy enough for everything, each takes more
 * in proportion. Within a priority localities share by weight, those with too few healthy hosts by less of it; where
 * the cluster is not weighted so, localities play no part.
 *
 * Shares are exact, where Envoy rounds them to whole percents. With consistent hashing the key chooses priority and
 * locality, too: as long as health stays, so does the host of a key.
 */

import type { Random } from "../../../base/random.ts";
import type { BalancerPolicy } from "../../../model/proxy-config.ts";
import { hashText, mix } from "./hash.ts";
import { type Candidate, createPicker, type Picker } from "./picker.ts";

/** A host that has a place. */
export interface Placed extends Candidate {
  readonly priority: number;
  /** Equal for hosts of one locality. */
  readonly locality: string;
  readonly localityWeight: number;
  readonly isUsable: boolean;
}

export interface Levelling {
  /** 140: five sevenths of a priority carry all of it. */
  readonly overprovisioningPercent: number;
  /** Where all is not well, a priority with a smaller part of its hosts usable uses all of them. 0: never. */
  readonly panicPercent: number;
  readonly isLocalityWeighted: boolean;
}

/** How many hosts of a priority there are, and how many of them may be used. */
export interface Level {
  readonly usable: number;
  readonly total: number;
}

export interface Load {
  /** Of 1. */
  readonly share: number;
  /** All hosts are used, usable or not. */
  readonly panics: boolean;
}

/** What each priority takes, the most wanted first. All zero where nobody may be used. */
export function priorityLoads(
  levels: readonly Level[],
  { overprovisioningPercent, panicPercent }: Omit<Levelling, "isLocalityWeighted">,
): readonly Load[] {
  const health = levels.map((level) => healthOf(level, overprovisioningPercent));
  const sum = health.reduce((total, one) => total + one, 0);
  const panics = levels.map(
    ({ usable, total }) => sum < 1 && total > 0 && usable * 100 < panicPercent * total,
  );
  if (panics.some((one) => one) && levels.every(({ total }, at) => total === 0 || panics[at])) {
    const hosts = levels.reduce((all, { total }) => all + total, 0);
    return levels.map(({ total }) => ({ share: total / hosts, panics: total > 0 }));
  }
  let left = 1;
  return health.map((one, at) => {
    const share = sum === 0 ? 0 : Math.min(left, one / Math.min(1, sum));
    left -= share;
    return { share, panics: panics[at] === true };
  });
}

function healthOf({ usable, total }: Level, overprovisioningPercent: number): number {
  return total === 0 ? 0 : Math.min(1, ((usable / total) * overprovisioningPercent) / 100);
}

export function levelPicker<H extends Placed>(
  policy: BalancerPolicy,
  hosts: readonly H[],
  levelling: Levelling,
  random: Random,
): Picker<H> {
  const levels: H[][] = [];
  for (const host of hosts) {
    while (levels.length <= host.priority) levels.push([]);
    levels[host.priority]?.push(host);
  }
  const loads = priorityLoads(
    levels.map((members) => ({ usable: usableOf(members).length, total: members.length })),
    levelling,
  );
  const choices = levels.map((members, at) => {
    const load = loads[at];
    const weight = load?.share ?? 0;
    return {
      weight,
      picker: withinLevel(policy, members, load?.panics === true, levelling, random),
    };
  });
  return choice(choices, "priority", random);
}

function withinLevel<H extends Placed>(
  policy: BalancerPolicy,
  members: readonly H[],
  panics: boolean,
  { isLocalityWeighted, overprovisioningPercent }: Levelling,
  random: Random,
): Picker<H> {
  // In panic nobody can tell which locality is well, and shares play no part (Envoy's rule).
  if (panics) return createPicker(policy, members, random);
  if (!isLocalityWeighted) return createPicker(policy, usableOf(members), random);
  const localities = [...Map.groupBy(members, ({ locality }) => locality).values()];
  const choices = localities.map((inIt) => {
    const usable = usableOf(inIt);
    const health = healthOf({ usable: usable.length, total: inIt.length }, overprovisioningPercent);
    return {
      weight: (inIt[0]?.localityWeight ?? 0) * health,
      picker: createPicker(policy, usable, random),
    };
  });
  return choice(choices, "locality", random);
}

function usableOf<H extends Placed>(hosts: readonly H[]): readonly H[] {
  return hosts.filter(({ isUsable }) => isUsable);
}

interface Choice<H extends Placed> {
  readonly weight: number;
  readonly picker: Picker<H>;
}

/** `what` keeps a key's choices here and further down apart from each other. */
function choice<H extends Placed>(
  all: readonly Choice<H>[],
  what: string,
  random: Random,
): Picker<H> {
  const possible = all.filter(({ weight }) => weight > 0);
  const [only] = possible;
  if (only === undefined) return { pick: () => undefined };
  if (possible.length === 1) return only.picker;
  const total = possible.reduce((sum, { weight }) => sum + weight, 0);
  const salt = hashText(what);
  return {
    pick(key) {
      let point = (key === undefined ? random() : mix(key ^ salt) / 2 ** 32) * total;
      for (const { weight, picker } of possible) {
        point -= weight;
        if (point < 0) return picker.pick(key);
      }
      return only.picker.pick(key);
    },
  };
}
