/**
 * Probes as bytes: ICMP echo messages (RFC 792, RFC 4443 §4) and datagrams, both with a mark in them.
 *
 * The mark says which check a probe belongs to and which way it was sent; the sequence number of an echo which try it
 * was. The other node's kernel answers echoes by itself and copies the mark.
 */

import type { IpFamily } from "../../base/ip.ts";
import type { Way } from "../../model/network-check.ts";

export interface Mark {
  /** 32 bits. */
  readonly check: number;
  readonly way: Way;
}

export interface Echo extends Mark {
  readonly kind: "request" | "reply";
  /** 16 bits. */
  readonly sequence: number;
  /** Of the whole IP packet. */
  readonly bytes: number;
}

/** A router's word that a packet is too large, with the echo that it was said of. */
export interface TooLarge {
  readonly kind: "too-large";
  readonly sequence: number;
  readonly mtu: number;
}

/** IP and ICMP headers. */
const headBytes: Readonly<Record<IpFamily, number>> = { IPv4: 28, IPv6: 48 };
const icmpBytes = 8;
const markBytes = 9;
/** `HDLE`. */
const magic = 0x48_44_4c_45;
const types: Readonly<Record<IpFamily, { readonly request: number; readonly reply: number }>> = {
  IPv4: { request: 8, reply: 0 },
  IPv6: { request: 128, reply: 129 },
};

/** Least size of a probe's packet. */
export const leastBytes: Readonly<Record<IpFamily, number>> = {
  IPv4: headBytes.IPv4 + markBytes,
  IPv6: headBytes.IPv6 + markBytes,
};

export function encodeMark({ check, way }: Mark, length: number = markBytes): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, markBytes));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic);
  view.setUint32(4, check);
  bytes[8] = way === "overlay" ? 1 : 0;
  return bytes;
}

export function decodeMark(bytes: Uint8Array): Mark | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < markBytes || view.getUint32(0) !== magic) return undefined;
  return { check: view.getUint32(4), way: bytes[8] === 1 ? "overlay" : "underlay" };
}

/** An echo request whose IP packet has `bytes` bytes. The kernel fills in ICMPv6's checksum, which covers addresses. */
export function encodeEcho(
  family: IpFamily,
  { bytes, sequence, ...mark }: Omit<Echo, "kind">,
): Uint8Array {
  const message = new Uint8Array(
    Math.max(bytes, leastBytes[family]) - headBytes[family] + icmpBytes,
  );
  message.set(encodeMark(mark, message.length - icmpBytes), icmpBytes);
  const view = new DataView(message.buffer);
  message[0] = types[family].request;
  view.setUint16(4, mark.check & 0xffff);
  view.setUint16(6, sequence);
  if (family === "IPv4") view.setUint16(2, checksum(message));
  return message;
}

/** What a raw socket received: with the IP header for IPv4, without for IPv6. Undefined where it is no probe's. */
export function decodeIcmp(family: IpFamily, packet: Uint8Array): Echo | TooLarge | undefined {
  const message = family === "IPv4" ? withoutHeader(packet) : packet;
  const [type] = message;
  if (type === undefined || message.length < icmpBytes) return undefined;
  if (isTooLarge(family, message)) return decodeTooLarge(family, message);
  const kind =
    type === types[family].request ? "request" : type === types[family].reply ? "reply" : undefined;
  const mark = decodeMark(message.subarray(icmpBytes));
  if (kind === undefined || mark === undefined) return undefined;
  const bytes = message.length - icmpBytes + headBytes[family];
  return { kind, ...mark, sequence: u16(message, 6), bytes };
}

/** Type 3, code 4 of ICMP; type 2 of ICMPv6. */
function isTooLarge(family: IpFamily, message: Uint8Array): boolean {
  return family === "IPv4" ? message[0] === 3 && message[1] === 4 : message[0] === 2;
}

/** Routers quote the IP header and eight bytes at least: the sequence number, not the mark. */
function decodeTooLarge(family: IpFamily, message: Uint8Array): TooLarge | undefined {
  const quoted = message.subarray(icmpBytes);
  const inner = family === "IPv4" ? withoutHeader(quoted) : quoted.subarray(40);
  if (inner.length < icmpBytes || inner[0] !== types[family].request) return undefined;
  const mtu = family === "IPv4" ? u16(message, 6) : (u16(message, 4) << 16) | u16(message, 6);
  return { kind: "too-large", sequence: u16(inner, 6), mtu };
}

function withoutHeader(packet: Uint8Array): Uint8Array {
  return packet.subarray(((packet[0] ?? 0) & 15) * 4);
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

/** RFC 1071; the checksum's own field must be zero. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += u16(bytes, at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
