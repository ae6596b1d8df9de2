/**
 * Sets of addresses as lists of prefixes, of either family: what overlaps, what is left, what joins.
 *
 * Prefixes are either disjoint or one inside the other, so everything here is halving and comparing; nothing needs to
 * know how wide an address is.
 */

import {
  addressBits,
  type Cidr,
  cidrContains,
  compareIps,
  familyOf,
  parseCidr,
  renderCidr,
  subnetAt,
} from "../../base/ip.ts";

/** Whether all of `inner` is in `outer`; both may be the same. */
export function covers(outer: Cidr, inner: Cidr): boolean {
  return inner.prefixLength >= outer.prefixLength && cidrContains(outer, inner.address);
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return covers(a, b) || covers(b, a);
}

/** What of `whole` is in none of `holes`, in order. */
export function without(whole: Cidr, holes: readonly Cidr[]): readonly Cidr[] {
  const inside = holes.filter((hole) => overlaps(hole, whole));
  if (inside.length === 0) return [whole];
  if (inside.some((hole) => covers(hole, whole))) return [];
  return halves(whole).flatMap((half) => without(half, inside));
}

/** What of `whole` is in one of `parts`, in order. */
export function within(whole: Cidr, parts: readonly Cidr[]): readonly Cidr[] {
  return merged(
    parts.flatMap((part) => (covers(whole, part) ? [part] : covers(part, whole) ? [whole] : [])),
  );
}

/** The same addresses in as few prefixes as can be, in order. */
export function merged(prefixes: readonly Cidr[]): readonly Cidr[] {
  const result: Cidr[] = [];
  for (const next of [...prefixes].sort(comparePrefixes)) {
    const last = result.at(-1);
    if (last !== undefined && covers(last, next)) continue;
    result.push(next);
    while (joinLast(result));
  }
  return result;
}

/** Makes one of the last two where they are the halves of a prefix. */
function joinLast(prefixes: Cidr[]): boolean {
  const [first, second] = prefixes.slice(-2);
  if (first === undefined || second === undefined) return false;
  if (first.prefixLength !== second.prefixLength || first.prefixLength === 0) return false;
  const whole = parseCidr(`${first.address}/${first.prefixLength - 1}`);
  if (whole.address !== first.address || !cidrContains(whole, second.address)) return false;
  prefixes.splice(-2, 2, whole);
  return true;
}

function comparePrefixes(a: Cidr, b: Cidr): number {
  return compareIps(a.address, b.address) || a.prefixLength - b.prefixLength;
}

function halves(cidr: Cidr): readonly Cidr[] {
  const longer = cidr.prefixLength + 1;
  return longer > addressBits[familyOf(cidr.address)]
    ? []
    : [subnetAt(cidr, longer, 0), subnetAt(cidr, longer, 1)];
}

export function renderPrefixes(prefixes: readonly Cidr[]): string {
  return prefixes.map(renderCidr).join(", ");
}
