/**
 * IP addresses and prefixes as values.
 *
 * Addresses travel as canonical text (`10.0.0.1`, `fd00::1`), which is what every kernel tool, manifest and log shows;
 * arithmetic goes through bigints. The family is a property of the value, never a second copy of a function: what
 * depends on it asks `familyOf`. IPv4 also has unsigned 32-bit numbers, for the wire formats that carry those.
 *
 * Canonical means one text for one address, so text can be compared and be a key; `parseCidr` and `canonicalIp` make
 * it.
 */

import { readIpv6, renderIpv6 } from "./ipv6-text.ts";

/** Kubernetes' spelling. */
export type IpFamily = "IPv4" | "IPv6";

export const ipFamilies: readonly IpFamily[] = ["IPv4", "IPv6"];

/** Bits of an address. */
export const addressBits: Readonly<Record<IpFamily, number>> = { IPv4: 32, IPv6: 128 };

export interface IpAddress {
  readonly family: IpFamily;
  readonly value: bigint;
}

export interface Cidr {
  /** The network address, host bits zero. */
  readonly address: string;
  /** 0..32, or 0..128 for IPv6. */
  readonly prefixLength: number;
}

/** The family of a text that is known to be an address. */
export function familyOf(address: string): IpFamily {
  return address.includes(":") ? "IPv6" : "IPv4";
}

/** Parses an address of either family; throws SyntaxError naming the text. */
export function parseIp(text: string): IpAddress {
  if (familyOf(text) === "IPv4") return { family: "IPv4", value: BigInt(parseIpv4(text)) };
  const value = readIpv6(text, (dotted) => (isIpv4(dotted) ? parseIpv4(dotted) : undefined));
  if (value === undefined) {
    throw new SyntaxError(`cannot parse IPv6 address "${text}": want eight groups, or "::"`);
  }
  return { family: "IPv6", value };
}

export function renderIp({ family, value }: IpAddress): string {
  return family === "IPv4" ? renderIpv4(Number(value)) : renderIpv6(value, renderIpv4);
}

/** The one text of an address; throws SyntaxError where it is none. */
export function canonicalIp(text: string): string {
  return renderIp(parseIp(text));
}

/** Parses dotted quads; throws SyntaxError naming the text. */
export function parseIpv4(text: string): number {
  const parts = text.split(".");
  if (parts.length !== 4)
    throw new SyntaxError(`cannot parse IPv4 address "${text}": want four octets`);
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) {
      throw new SyntaxError(`cannot parse IPv4 address "${text}": octet "${part}" must be 0..255`);
    }
    value = value * 256 + Number(part);
  }
  return value;
}

export function renderIpv4(value: number): string {
  return `${(value >>> 24) & 255}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

export function isIp(text: string): boolean {
  try {
    parseIp(text);
    return true;
  } catch {
    return false;
  }
}

export function isIpv4(text: string): boolean {
  return familyOf(text) === "IPv4" && isIp(text);
}

export function isIpv6(text: string): boolean {
  return familyOf(text) === "IPv6" && isIp(text);
}

/** Order for lists: IPv4 before IPv6, then by number. */
export function compareIps(a: string, b: string): number {
  const left = parseIp(a);
  const right = parseIp(b);
  if (left.family !== right.family) return left.family === "IPv4" ? -1 : 1;
  return left.value < right.value ? -1 : left.value > right.value ? 1 : 0;
}

/** The prefix that holds just this address. */
export function hostCidr(address: string): Cidr {
  return { address, prefixLength: addressBits[familyOf(address)] };
}

/** Parses `address/n`, clearing host bits; throws SyntaxError naming the text and what is wanted. */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf("/");
  if (slash < 0) throw new SyntaxError(`cannot parse CIDR "${text}": want address/prefix`);
  const prefix = text.slice(slash + 1);
  const bits = addressBits[familyOf(text)];
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits) {
    throw new SyntaxError(`cannot parse CIDR "${text}": prefix length must be 0..${bits}`);
  }
  const prefixLength = Number(prefix);
  const { family, value } = parseIp(text.slice(0, slash));
  const hostBits = BigInt(bits - prefixLength);
  return { address: renderIp({ family, value: (value >> hostBits) << hostBits }), prefixLength };
}

export function renderCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.prefixLength}`;
}

/** Never true of an address of the other family. */
export function cidrContains(cidr: Cidr, address: string): boolean {
  const network = parseIp(cidr.address);
  const { family, value } = parseIp(address);
  if (family !== network.family) return false;
  const hostBits = BigInt(addressBits[family] - cidr.prefixLength);
  return value >> hostBits === network.value >> hostBits;
}

/** Length of the longest of the prefixes that the address is in; -1: it is in none. */
export function longestPrefix(cidrs: readonly Cidr[], address: string | undefined): number {
  let longest = -1;
  for (const cidr of cidrs) {
    if (address === undefined || cidr.prefixLength <= longest) continue;
    if (cidrContains(cidr, address)) longest = cidr.prefixLength;
  }
  return longest;
}

/** Number of addresses in the prefix, e.g. 64 for a /26. Exact, being a power of two. */
export function cidrSize(cidr: Cidr): number {
  return 2 ** (addressBits[familyOf(cidr.address)] - cidr.prefixLength);
}

/** The `index`-th address of the prefix (0 is the network address); throws RangeError outside it. */
export function addressAt(cidr: Cidr, index: number | bigint): string {
  if (index < 0 || index >= cidrSize(cidr)) {
    throw new RangeError(`address ${index} of ${renderCidr(cidr)}: want 0..${cidrSize(cidr) - 1}`);
  }
  const { family, value } = parseIp(cidr.address);
  return renderIp({ family, value: value + BigInt(index) });
}

/** The `index`-th sub-prefix of length `prefixLength`, e.g. block 2 of a pool. */
export function subnetAt(cidr: Cidr, prefixLength: number, index: number): Cidr {
  const hostBits = addressBits[familyOf(cidr.address)] - prefixLength;
  return { address: addressAt(cidr, BigInt(index) << BigInt(hostBits)), prefixLength };
}
