/** Addresses of IP sockets as system calls take and give them. */

import { familyOf } from "../base/ip.ts";
import { ipBytes, ipFromBytes } from "../base/ip-bytes.ts";
import { AF_INET, AF_INET6 } from "./ffi.ts";

/**
 * `struct sockaddr_in` or `sockaddr_in6`. A scope is not needed: sockets for link-local addresses are bound to links.
 */
export function socketAddress(address: string, port: number): Uint8Array {
  const ip = ipBytes(address);
  const isIpv4 = familyOf(address) === "IPv4";
  const bytes = new Uint8Array(isIpv4 ? 16 : 28);
  bytes.set([isIpv4 ? AF_INET : AF_INET6, 0, port >>> 8, port & 255]);
  bytes.set(ip, isIpv4 ? 4 : 8);
  return bytes;
}

export function addressOf(bytes: Uint8Array): string {
  const isIpv4 = bytes[0] === AF_INET;
  return ipFromBytes(isIpv4 ? bytes.subarray(4, 8) : bytes.subarray(8, 24)) ?? "";
}
