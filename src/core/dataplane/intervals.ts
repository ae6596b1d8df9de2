/**
 * Address and port ranges as nft sets want them: disjoint, merged, in order.
 *
 * nft refuses intervals that overlap, and users write blocks that do, with exceptions that cut holes and other blocks
 * that fill them again. Everything here works on closed ranges.
 */

import {
  addressBits,
  type Cidr,
  familyOf,
  type IpFamily,
  parseIp,
  renderIp,
} from "../../base/ip.ts";
import type { PortRange } from "../../model/node-view.ts";

/** Of ports, as numbers, or of addresses, as bigints. */
export interface Range<N extends number | bigint> {
  readonly first: N;
  readonly last: N;
}

export type AddressRange = Range<bigint>;

/** Sorted, with neighbours that overlap or touch made one. */
export function mergeRanges<N extends number | bigint>(
  ranges: readonly Range<N>[],
): readonly Range<N>[] {
  const merged: { first: N; last: N }[] = [];
  for (const range of [...ranges].sort((a, b) => compare(a.first, b.first))) {
    const previous = merged.at(-1);
    if (previous !== undefined && isNext(previous.last, range.first)) {
      if (range.last > previous.last) previous.last = range.last;
    } else {
      merged.push({ ...range });
    }
  }
  return merged;
}

/** True where a range that starts at `first` overlaps or touches one that ends at `last`. */
function isNext(last: number | bigint, first: number | bigint): boolean {
  return first <= last || BigInt(first) === BigInt(last) + 1n;
}

function compare(a: number | bigint, b: number | bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What of a block remains without its exceptions, which are of its family. */
export function blockRanges(block: {
  readonly cidr: Cidr;
  readonly except: readonly Cidr[];
}): readonly AddressRange[] {
  const whole = cidrRange(block.cidr);
  const left: AddressRange[] = [];
  let next = whole.first;
  for (const hole of mergeRanges(block.except.map(cidrRange))) {
    const end = hole.first - 1n;
    if (hole.first > next) left.push({ first: next, last: end < whole.last ? end : whole.last });
    if (hole.last + 1n > next) next = hole.last + 1n;
  }
  if (next <= whole.last) left.push({ first: next, last: whole.last });
  return left.filter((range) => range.first <= range.last);
}

export function cidrRange({ address, prefixLength }: Cidr): AddressRange {
  const { family, value } = parseIp(address);
  return { first: value, last: value + (1n << BigInt(addressBits[family] - prefixLength)) - 1n };
}

/**
 * Ranges that each carry something, cut at every boundary, so that each part is disjoint from the others and knows all
 * that holds there. Neighbouring parts with the same contents are not joined.
 */
export function partition<T>(
  ranges: readonly { readonly range: AddressRange; readonly value: T }[],
): readonly { readonly range: AddressRange; readonly values: ReadonlySet<T> }[] {
  const events = ranges
    .flatMap(({ range, value }) => [
      { at: range.first, value, change: 1 },
      { at: range.last + 1n, value, change: -1 },
    ])
    .sort((a, b) => compare(a.at, b.at));
  const active = new Map<T, number>();
  const parts: { readonly range: AddressRange; readonly values: ReadonlySet<T> }[] = [];
  let from = 0n;
  for (const { at, value, change } of events) {
    if (active.size > 0 && at > from) {
      parts.push({ range: { first: from, last: at - 1n }, values: new Set(active.keys()) });
    }
    from = at;
    const count = (active.get(value) ?? 0) + change;
    if (count === 0) active.delete(value);
    else active.set(value, count);
  }
  return parts;
}

/** `10.0.0.0/8` where the range is a prefix, one address, or `10.0.0.0-10.3.2.1`. */
export function renderAddresses({ first, last }: AddressRange, family: IpFamily): string {
  const text = (value: bigint) => renderIp({ family, value });
  if (first === last) return text(first);
  const size = last - first + 1n;
  const isPrefix = (size & (size - 1n)) === 0n && (first & (size - 1n)) === 0n;
  const hostBits = size.toString(2).length - 1;
  return isPrefix
    ? `${text(first)}/${addressBits[family] - hostBits}`
    : `${text(first)}-${text(last)}`;
}

/** A block as nft shows it: a whole address without its length. */
export function renderBlock(block: Cidr): string {
  return renderAddresses(cidrRange(block), familyOf(block.address));
}

/** `tcp . 80`, `udp . 0-65535` …: merged for each protocol, protocols in order. */
export function renderPorts(ports: readonly PortRange[]): readonly string[] {
  const byProtocol = new Map<string, Range<number>[]>();
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
