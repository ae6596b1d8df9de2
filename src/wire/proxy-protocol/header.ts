/**
 * The PROXY protocol, versions 1 and 2: what a proxy says before the first byte of a connection, of who made it.
 *
 * Reading is strict: what begins like a header and is none ends the connection, since everything behind it would be
 * taken for what it is not. Of a second version's extensions (TLVs) nothing is read; they are skipped by their length.
 */

import { canonicalIp, isIp, isIpv4 } from "../../base/ip.ts";
import { ipBytes, ipFromBytes } from "../../base/ip-bytes.ts";
import { encodeUtf8 } from "../../base/utf8.ts";

export type ProxyProtocolVersion = "v1" | "v2";

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

export type ProxyHeader =
  /** So far it is one; the rest has not come yet. */
  | { readonly kind: "partial" }
  /** It does not begin like one. */
  | { readonly kind: "none" }
  | { readonly kind: "invalid"; readonly problem: string }
  /** `source` is undefined where the proxy speaks for itself, or of something that is not TCP over IP. */
  | {
      readonly kind: "header";
      readonly length: number;
      readonly source: SocketAddress | undefined;
    };

const signature = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10);
const text = encodeUtf8("PROXY ");
const maxLineBytes = 107; // of version 1, CRLF included
/** Addresses take 36 at most; the rest is for extensions. */
const maxBodyBytes = 4_096;

/** Reads the header at the start of `bytes`. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader {
  if (isPrefix(bytes, signature)) return readBinary(bytes);
  return isPrefix(bytes, text) ? readLine(bytes) : { kind: "none" };
}

/** Says of a connection from `source` to `destination`; undefined: the proxy's own. */
export function proxyHeader(
  version: ProxyProtocolVersion,
  ends?: { readonly source: SocketAddress; readonly destination: SocketAddress },
): Uint8Array {
  const isKnown =
    ends !== undefined &&
    isIp(ends.source.address) &&
    isIp(ends.destination.address) &&
    isIpv4(ends.source.address) === isIpv4(ends.destination.address);
  const known = isKnown ? ends : undefined;
  return version === "v1" ? textHeader(known) : binaryHeader(known);
}

type Ends = Parameters<typeof proxyHeader>[1];

function textHeader(ends: Ends): Uint8Array {
  if (ends === undefined) return encodeUtf8("PROXY UNKNOWN\r\n");
  const { source, destination } = ends;
  const family = isIpv4(source.address) ? "TCP4" : "TCP6";
  return encodeUtf8(
    `PROXY ${family} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`,
  );
}

function binaryHeader(ends: Ends): Uint8Array {
  if (ends === undefined) return Uint8Array.of(...signature, 0x20, 0, 0, 0); // LOCAL
  const { source, destination } = ends;
  const addresses = [...ipBytes(source.address), ...ipBytes(destination.address)];
  const family = isIpv4(source.address) ? 0x11 : 0x21; // TCP over IPv4, IPv6
  const ports = [source.port, destination.port].flatMap((port) => [port >> 8, port & 0xff]);
  const length = addresses.length + ports.length;
  return Uint8Array.of(...signature, 0x21, family, 0, length, ...addresses, ...ports);
}

/** Whether as many of the wanted bytes as have come are these. */
function isPrefix(bytes: Uint8Array, wanted: Uint8Array): boolean {
  const length = Math.min(bytes.length, wanted.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== wanted[i]) return false;
  return true;
}

function readLine(bytes: Uint8Array): ProxyHeader {
  const seen = bytes.subarray(0, maxLineBytes);
  const end = seen.indexOf(10);
  if (end < 0) {
    return bytes.length >= maxLineBytes
      ? { kind: "invalid", problem: "a line of more than 107 bytes" }
      : { kind: "partial" };
  }
  const line = String.fromCharCode(...seen.subarray(0, end + 1));
  const length = end + 1;
  if (/^PROXY UNKNOWN( [^\r\n]*)?\r\n$/.test(line)) {
    return { kind: "header", length, source: undefined };
  }
  const parts = /^PROXY TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})\r\n$/.exec(line);
  const [, family, source = "", destination = "", port] = parts ?? [];
  const isRight = (address: string): boolean =>
    isIp(address) && isIpv4(address) === (family === "4");
  if (parts === null || !isRight(source) || !isRight(destination) || Number(port) > 65_535) {
    return { kind: "invalid", problem: "not PROXY TCP4|TCP6 source destination port port" };
  }
  return { kind: "header", length, source: clientAt(source, Number(port)) };
}

function readBinary(bytes: Uint8Array): ProxyHeader {
  if (bytes.length < 16) return { kind: "partial" };
  const command = bytes[12] ?? 0;
  const family = bytes[13] ?? 0;
  const body = ((bytes[14] ?? 0) << 8) | (bytes[15] ?? 0);
  if (command >> 4 !== 2 || (command & 0x0f) > 1) {
    return { kind: "invalid", problem: `version and command ${command.toString(16)}` };
  }
  if (body > maxBodyBytes) return { kind: "invalid", problem: `a header of ${body} bytes` };
  const length = 16 + body;
  if (bytes.length < length) return { kind: "partial" };
  const addressBytes = family === 0x11 ? 4 : family === 0x21 ? 16 : 0;
  const isLocal = (command & 0x0f) === 0;
  if (isLocal || addressBytes === 0) return { kind: "header", length, source: undefined };
  if (body < addressBytes * 2 + 4) {
    return { kind: "invalid", problem: `addresses of ${body} bytes` };
  }
  const address = ipFromBytes(bytes.subarray(16, 16 + addressBytes)) ?? "::";
  const at = 16 + addressBytes * 2;
  const port = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return { kind: "header", length, source: clientAt(address, port) };
}

/** A proxy that listens for both families at once tells a client of IPv4 by IPv6 (RFC 4291 §2.5.5.2). Policies do not. */
function clientAt(address: string, port: number): SocketAddress {
  const text = canonicalIp(address);
  return { address: /^::ffff:([0-9.]+)$/.exec(text)?.[1] ?? text, port };
}
