/** Addresses as the 4 or 16 bytes, in network byte order, that wire formats carry. The length says the family. */

import { addressBits, parseIp, renderIp } from "./ip.ts";

export function ipBytes(address: string): Uint8Array {
  const { family, value } = parseIp(address);
  const bytes = new Uint8Array(addressBits[family] / 8);
  let rest = value;
  for (let at = bytes.length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 255n);
    rest >>= 8n;
  }
  return bytes;
}

/** Undefined where the bytes are neither 4 nor 16. */
export function ipFromBytes(bytes: Uint8Array): string | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return renderIp({ family: bytes.length === 4 ? "IPv4" : "IPv6", value });
}
