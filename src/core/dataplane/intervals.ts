/**
 * Address and port ranges as nft sets want them: disjoint, merged, in order.
 *
 * nft refuses intervals that overlap, and users write blocks that do, with exceptions that cut holes and other blocks
 * that fill them again. Everything here works on closed ranges of numbers.
 */

import { type Cidr, cidrSize, parseIpv4, renderIpv4 } from "../../base/ip.ts";
import type { PortRange } from "../../model/node-view.ts";

export interface Range {
  readonly first: number;
  readonly last: number;
}

/** Sorted, with neighbours that overlap or touch made one. */
export function mergeRanges(ranges: readonly Range[]): readonly Range[] {
  const merged: { first: number; last: number }[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first || a.last - b.last)) {
    const previous = merged.at(-1);
    if (previous !== undefined && range.first <= previous.last + 1) {
      previous.last = Math.max(previous.last, range.last);
    } else {
      merged.push({ ...range });
    }
  }
  return merged;
}

/** What of a block remains without its exceptions. */
export function blockRanges(block: {
  readonly cidr: Cidr;
  readonly except: readonly Cidr[];
}): readonly Range[] {
  const whole = cidrRange(block.cidr);
  const left: Range[] = [];
  let next = whole.first;
  for (const hole of mergeRanges(block.except.map(cidrRange))) {
    if (hole.first > next) left.push({ first: next, last: Math.min(hole.first - 1, whole.last) });
    next = Math.max(next, hole.last + 1);
  }
  if (next <= whole.last) left.push({ first: next, last: whole.last });
  return left.filter((range) => range.first <= range.last);
}

export function cidrRange(cidr: Cidr): Range {
  const first = parseIpv4(cidr.address);
  return { first, last: first + cidrSize(cidr) - 1 };
}

/**
 * Ranges that each carry something, cut at every boundary, so that each part is disjoint from the others and knows all
 * that holds there. Neighbouring parts with the same contents are not joined.
 */
export function partition<T>(
  ranges: readonly { readonly range: Range; readonly value: T }[],
): readonly { readonly range: Range; readonly values: ReadonlySet<T> }[] {
  const events = ranges
    .flatMap(({ range, value }) => [
      { at: range.first, value, change: 1 },
      { at: range.last + 1, value, change: -1 },
    ])
    .sort((a, b) => a.at - b.at);
  const active = new Map<T, number>();
  const parts: { readonly range: Range; readonly values: ReadonlySet<T> }[] = [];
  let from = 0;
  for (const { at, value, change } of events) {
    if (active.size > 0 && at > from) {
      parts.push({ range: { first: from, last: at - 1 }, values: new Set(active.keys()) });
    }
    from = at;
    const count = (active.get(value) ?? 0) + change;
    if (count === 0) active.delete(value);
    else active.set(value, count);
  }
  return parts;
}

/** `10.0.0.0/8` where the range is a prefix, one address, or `10.0.0.0-10.3.2.1`. */
export function renderAddresses({ first, last }: Range): string {
  if (first === last) return renderIpv4(first);
  const size = last - first + 1;
  const isPrefix = Number.isInteger(Math.log2(size)) && first % size === 0;
  return isPrefix
    ? `${renderIpv4(first)}/${32 - Math.log2(size)}`
    : `${renderIpv4(first)}-${renderIpv4(last)}`;
}

/** `tcp . 80`, `udp . 0-65535` …: merged for each protocol, protocols in order. */
export function renderPorts(ports: readonly PortRange[]): readonly string[] {
  const byProtocol = new Map<string, Range[]>();
  for (const { protocol, first, last } of ports) {
    const key = protocol.toLowerCase();
    const range = { first: first ?? 0, last: last ?? first ?? 65535 };
    const list = byProtocol.get(key);
    if (list === undefined) byProtocol.set(key, [range]);
    else list.push(range);
  }
  return [...byProtocol]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([protocol, ranges]) =>
      mergeRanges(ranges).map(({ first, last }) =>
        first === last ? `${protocol} . ${first}` : `${protocol} . ${first}-${last}`,
      ),
    );
}
