/**
 * IPv6 addresses as text: what RFC 4291 §2.2 lets people write, and the one form of RFC 5952 in which we show it.
 *
 * Zones (`fe80::1%eth0`) are refused: they name an interface of one machine, and our addresses travel.
 */

const groupCount = 8;

/** The address's 128 bits; undefined where the text is no IPv6 address. `ipv4` reads a dotted tail. */
export function readIpv6(
  text: string,
  ipv4: (dotted: string) => number | undefined,
): bigint | undefined {
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const before = readGroups(head, tail === undefined ? ipv4 : () => undefined);
  const after = readGroups(tail ?? "", ipv4);
  if (before === undefined || after === undefined) return undefined;
  const missing = groupCount - before.length - after.length;
  // Two colons stand for at least one group of zeros.
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array<number>(missing).fill(0), ...after];
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

function readGroups(
  text: string,
  ipv4: (dotted: string) => number | undefined,
): readonly number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && part.includes(".")) {
      const value = ipv4(part);
      if (value === undefined) return undefined;
      groups.push(Math.floor(value / 0x10000), value % 0x10000);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}

/**
 * RFC 5952: lower case, no leading zeros, the longest run of zero groups (the first of equals, two or more) as `::`.
 */
export function renderIpv6(value: bigint, dotted: (value: number) => string): string {
  // §5: addresses that carry an IPv4 address by a well-known prefix show it; only the mapped ones are met.
  if (value >> 32n === 0xffffn) return `::ffff:${dotted(Number(value & 0xffffffffn))}`;
  const groups = Array.from({ length: groupCount }, (_, index) =>
    Number((value >> BigInt(16 * (groupCount - 1 - index))) & 0xffffn),
  );
  const { start, length } = longestZeroRun(groups);
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > longest.length) longest = { start, length: index + 1 - start };
  }
  return longest;
}
