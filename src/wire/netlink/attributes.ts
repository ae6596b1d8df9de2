/**
 * Netlink attributes: type-length-value, aligned to four bytes, nested without limit.
 *
 * Writing is by composition: each builder returns the attribute's bytes, `nest` and `concat` join them, so a request
 * reads like the tree it is. Reading is by type number: `Attributes` indexes one level and decodes on demand; an
 * attribute of the wrong size is malformed, an absent one is undefined.
 */

import { familyOf, type IpFamily } from "../../base/ip.ts";
import { ipBytes, ipFromBytes } from "../../base/ip-bytes.ts";
import { align4, latin1, malformed, viewOf } from "./message.ts";

const NLA_F_NESTED = 0x8000;
/** The two upper bits are flags (nested, network byte order). */
const NLA_TYPE_MASK = 0x3fff;

export function raw(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(align4(4 + value.length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

export function u8(type: number, value: number): Uint8Array {
  return raw(type, Uint8Array.of(value));
}

export function u32(type: number, value: number): Uint8Array {
  return raw(type, littleEndian32(value));
}

/** In network byte order, as ports are. */
export function u16be(type: number, value: number): Uint8Array {
  return raw(type, Uint8Array.of(value >>> 8, value & 255));
}

/** NUL-terminated, as the kernel wants names. */
export function text(type: number, value: string): Uint8Array {
  const bytes = new Uint8Array(value.length + 1);
  for (let i = 0; i < value.length; i += 1) bytes[i] = value.charCodeAt(i);
  return raw(type, bytes);
}

/** The kernel's number of each family, `AF_INET` and `AF_INET6`. */
export const addressFamily: Readonly<Record<IpFamily, number>> = { IPv4: 2, IPv6: 10 };

/** The number of an address's family. */
export function familyNumber(address: string): number {
  return addressFamily[familyOf(address)];
}

/** An address of either family, as 4 or 16 bytes in network byte order. */
export function ip(type: number, address: string): Uint8Array {
  return raw(type, ipBytes(address));
}

export function mac(type: number, address: string): Uint8Array {
  return raw(type, parseMac(address));
}

export function nest(type: number, ...children: readonly Uint8Array[]): Uint8Array {
  return raw(type | NLA_F_NESTED, concat(...children));
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** The attributes of a list in which types come again, in order. Throws MeshError where lengths do not add up. */
export function attributeList(
  bytes: Uint8Array,
): readonly { readonly type: number; readonly value: Uint8Array }[] {
  const list: { type: number; value: Uint8Array }[] = [];
  eachAttribute(bytes, 0, (type, value) => list.push({ type, value }));
  return list;
}

function eachAttribute(
  bytes: Uint8Array,
  offset: number,
  visit: (type: number, value: Uint8Array) => void,
): void {
  const view = viewOf(bytes);
  for (let at = offset; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > bytes.length) {
      throw malformed(`attribute of ${length} bytes at ${at} of ${bytes.length}`);
    }
    visit(view.getUint16(at + 2, true) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + length));
    at += align4(length);
  }
}

/** One level of attributes, by type. The last one of a type counts. */
export class Attributes {
  readonly #values = new Map<number, Uint8Array>();

  /** Reads the attributes that stand at `offset` of `bytes`; throws MeshError where lengths do not add up. */
  constructor(bytes: Uint8Array, offset = 0) {
    eachAttribute(bytes, offset, (type, value) => this.#values.set(type, value));
  }

  raw(type: number): Uint8Array | undefined {
    return this.#values.get(type);
  }

  u8(type: number): number | undefined {
    return this.#sized(type, 1)?.getUint8(0);
  }

  u32(type: number): number | undefined {
    return this.#sized(type, 4)?.getUint32(0, true);
  }

  u32be(type: number): number | undefined {
    return this.#sized(type, 4)?.getUint32(0);
  }

  u16be(type: number): number | undefined {
    return this.#sized(type, 2)?.getUint16(0);
  }

  text(type: number): string | undefined {
    const value = this.#values.get(type);
    return value === undefined ? undefined : latin1(value);
  }

  /** An address of either family; which one, its size says. */
  ip(type: number): string | undefined {
    const bytes = this.#values.get(type);
    if (bytes === undefined) return undefined;
    const address = ipFromBytes(bytes);
    if (address === undefined) {
      throw malformed(`attribute ${type} has ${bytes.length} bytes, want 4 or 16`);
    }
    return address;
  }

  mac(type: number): string | undefined {
    const value = this.#values.get(type);
    return value?.length === 6 ? renderMac(value) : undefined;
  }

  nested(type: number): Attributes | undefined {
    const value = this.#values.get(type);
    return value === undefined ? undefined : new Attributes(value);
  }

  #sized(type: number, size: number): DataView | undefined {
    const value = this.#values.get(type);
    if (value === undefined) return undefined;
    if (value.length !== size) {
      throw malformed(`attribute ${type} has ${value.length} bytes, want ${size}`);
    }
    return viewOf(value);
  }
}

/** Parses `02:00:00:00:00:01`; throws SyntaxError naming the text. */
export function parseMac(address: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(address)) {
    throw new SyntaxError(`cannot parse hardware address "${address}": want six hex octets`);
  }
  return Uint8Array.from(address.split(":"), (octet) => Number.parseInt(octet, 16));
}

function renderMac(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join(":");
}

function littleEndian32(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}
