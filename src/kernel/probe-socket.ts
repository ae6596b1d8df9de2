/**
 * Sockets for probes: raw ICMP echoes and UDP datagrams that are never fragmented on the way, bound to an address, and
 * where asked to a link.
 *
 * "Don't fragment" is set and what the kernel has learned of paths is ignored (IP_PMTUDISC_PROBE): a probe is as large
 * as it says. Nothing waits: sending and receiving take what the kernel has now. The sockets belong to the namespace in
 * which they were opened.
 */

import { MeshError } from "../base/error.ts";
import type { IpFamily } from "../base/ip.ts";
import { AF_INET, AF_INET6, EAGAIN, EINTR, libc, SOL_SOCKET, SystemCallError } from "./ffi.ts";
import { addressOf, socketAddress } from "./socket-address.ts";

export interface ProbeSocketOptions {
  readonly family: IpFamily;
  readonly kind: "echo" | "datagram";
  /** To leave by; and what comes by others is not received. */
  readonly link?: string;
}

export interface Received {
  readonly source: string;
  /** Valid until the next call. */
  readonly bytes: Uint8Array;
}

export interface ProbeSocket {
  /** Undefined where it was sent; else why not, in the kernel's words. */
  send(to: string, port: number, bytes: Uint8Array): string | undefined;
  /** What has come, at most `most` packets. */
  receive(most: number, take: (packet: Received) => void): void;
  /** The port that a datagram socket got. */
  readonly port: number;
  close(): void;
}

const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_IP = 0;
const IPPROTO_ICMP = 1;
const IPPROTO_IPV6 = 41;
const IPPROTO_ICMPV6 = 58;
const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
const PMTUDISC_PROBE = 3;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
/** Some thousand probes; what does not fit is lost, as packets may be. */
const bufferBytes = 1024 * 1024;
const largestPacket = 65_536;

const families = {
  IPv4: { domain: AF_INET, icmp: IPPROTO_ICMP, level: IPPROTO_IP, discover: IP_MTU_DISCOVER },
  IPv6: {
    domain: AF_INET6,
    icmp: IPPROTO_ICMPV6,
    level: IPPROTO_IPV6,
    discover: IPV6_MTU_DISCOVER,
  },
} as const;

/** Opens a socket at `address`, any port. Needs root. Throws MeshError `kernel.probe.open`. */
export function openProbeSocket(address: string, options: ProbeSocketOptions): ProbeSocket {
  const { domain, icmp, level, discover } = families[options.family];
  const calls = libc();
  const isEcho = options.kind === "echo";
  let fd: number | undefined;
  try {
    const type = (isEcho ? SOCK_RAW : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    fd = calls.socket(domain, type, isEcho ? icmp : 0);
    calls.setsockopt(fd, level, discover, number32(PMTUDISC_PROBE));
    calls.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, number32(bufferBytes));
    const { link } = options;
    if (link !== undefined) {
      calls.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode(`${link}\0`));
    }
    calls.bind(fd, socketAddress(address, 0));
    return socketOf(fd);
  } catch (cause) {
    if (fd !== undefined) calls.close(fd);
    const where = options.link === undefined ? "" : ` on ${options.link}`;
    throw new MeshError("kernel.probe.open", `open a socket for probes from ${address}${where}`, {
      cause,
      fault: "host",
    });
  }
}

function socketOf(fd: number): ProbeSocket {
  const calls = libc();
  const buffer = new Uint8Array(largestPacket);
  const from = new Uint8Array(28);
  return {
    get port() {
      calls.getsockname(fd, from);
      return ((from[2] ?? 0) << 8) | (from[3] ?? 0);
    },
    send(to, port, bytes) {
      try {
        calls.sendTo(fd, bytes, socketAddress(to, port));
        return undefined;
      } catch (error) {
        if (error instanceof SystemCallError) return error.message;
        throw error;
      }
    },
    receive(most, take) {
      for (let count = 0; count < most; count++) {
        try {
          const length = calls.recvFrom(fd, buffer, from);
          take({ source: addressOf(from), bytes: buffer.subarray(0, length) });
        } catch (error) {
          if (!(error instanceof SystemCallError)) throw error;
          if (error.errno === EAGAIN) return;
          if (error.errno !== EINTR) continue; // an error that came for a datagram sent before
        }
      }
    },
    close: () => calls.close(fd),
  };
}

function number32(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}
