/**
 * IPv4 addresses and prefixes as values.
 *
 * Addresses travel as canonical text (`10.0.0.1`), which is what every kernel tool, manifest and log shows; arithmetic
 * goes through unsigned 32-bit numbers. The family is a property of the value, never a second copy of a function.
 *
 * Not here yet: IPv6 arithmetic (the network's dual-stack issue).
 */

export interface Cidr {
  /** The network address, host bits zero. */
  readonly address: string;
  /** 0..32. */
  readonly prefixLength: number;
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

export function isIpv4(text: string): boolean {
  try {
    parseIpv4(text);
    return true;
  } catch {
    return false;
  }
}

/** Parses `a.b.c.d/n`, clearing host bits; throws SyntaxError naming the text and what is wanted. */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf("/");
  if (slash < 0) throw new SyntaxError(`cannot parse CIDR "${text}": want address/prefix`);
  const prefix = text.slice(slash + 1);
  if (!/^\d{1,2}$/.test(prefix) || Number(prefix) > 32) {
    throw new SyntaxError(`cannot parse CIDR "${text}": prefix length must be 0..32`);
  }
  const prefixLength = Number(prefix);
  const address = parseIpv4(text.slice(0, slash));
  return { address: renderIpv4(networkOf(address, prefixLength)), prefixLength };
}

export function renderCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.prefixLength}`;
}

export function cidrContains(cidr: Cidr, address: string): boolean {
  return networkOf(parseIpv4(address), cidr.prefixLength) === parseIpv4(cidr.address);
}

/** Number of addresses in the prefix, e.g. 64 for a /26. */
export function cidrSize(cidr: Cidr): number {
  return 2 ** (32 - cidr.prefixLength);
}

/** The `index`-th address of the prefix (0 is the network address); throws RangeError outside it. */
export function addressAt(cidr: Cidr, index: number): string {
  if (index < 0 || index >= cidrSize(cidr)) {
    throw new RangeError(`address ${index} of ${renderCidr(cidr)}: want 0..${cidrSize(cidr) - 1}`);
  }
  return renderIpv4((parseIpv4(cidr.address) + index) >>> 0);
}

/** The `index`-th sub-prefix of length `prefixLength`, e.g. block 2 of a pool. */
export function subnetAt(cidr: Cidr, prefixLength: number, index: number): Cidr {
  return { address: addressAt(cidr, index * 2 ** (32 - prefixLength)), prefixLength };
}

function networkOf(address: number, prefixLength: number): number {
  const size = 2 ** (32 - prefixLength);
  return Math.floor(address / size) * size;
}
