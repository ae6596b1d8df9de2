/**
 * Packets that nftables' `log group` statement hands to user space (nfnetlink_log), and how to ask for them.
 *
 * Of each packet only its head is copied: enough for addresses and ports. Fields are in network byte order, unlike
 * netlink's own.
 */

import { renderIp, renderIpv4 } from "../../base/ip.ts";
import { Attributes, concat, raw } from "./attributes.ts";
import { type NetlinkRequest, NLM_F_ACK, viewOf } from "./message.ts";

const NFNL_SUBSYS_ULOG = 4;
const NFULNL_MSG_PACKET = (NFNL_SUBSYS_ULOG << 8) | 0;
const NFULNL_MSG_CONFIG = (NFNL_SUBSYS_ULOG << 8) | 1;

const NFULA_CFG_CMD = 1;
const NFULA_CFG_MODE = 2;
const NFULA_CFG_TIMEOUT = 4;
const NFULA_CFG_QTHRESH = 5;
const NFULNL_CFG_CMD_BIND = 1;
const NFULNL_COPY_PACKET = 2;

const NFULA_PAYLOAD = 9;
const NFULA_PREFIX = 10;

/** Of nfgenmsg: family, version, group. */
const headerBytes = 4;
/** IPv6's header and the ports after it. */
const copiedBytes = 64;

/** A packet as it was logged. */
export interface LoggedPacket {
  /** What the rule that logged it says. */
  readonly prefix: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: "tcp" | "udp" | "sctp" | "icmp" | "other";
  /** The destination's; 0 where the protocol has none. */
  readonly port: number;
}

/** Makes the asking socket the reader of a group. EPERM: somebody else is. */
export function bindLogGroup(group: number): NetlinkRequest {
  return config(group, raw(NFULA_CFG_CMD, Uint8Array.of(NFULNL_CFG_CMD_BIND)));
}

/** Heads only, in batches of up to `packets` or after `hundredths` of a second. */
export function setLogMode(group: number, packets: number, hundredths: number): NetlinkRequest {
  const mode = concat(u32be(copiedBytes), Uint8Array.of(NFULNL_COPY_PACKET, 0));
  return config(
    group,
    raw(NFULA_CFG_MODE, mode),
    raw(NFULA_CFG_QTHRESH, u32be(packets)),
    raw(NFULA_CFG_TIMEOUT, u32be(hundredths)),
  );
}

/** Undefined where the message is none or the packet is not IP. */
export function decodeLoggedPacket(type: number, payload: Uint8Array): LoggedPacket | undefined {
  if (type !== NFULNL_MSG_PACKET) return undefined;
  const attributes = new Attributes(payload, headerBytes);
  const packet = attributes.raw(NFULA_PAYLOAD);
  const ends = packet === undefined ? undefined : endsOf(packet);
  if (ends === undefined) return undefined;
  return { prefix: attributes.text(NFULA_PREFIX) ?? "", ...ends };
}

function endsOf(packet: Uint8Array): Omit<LoggedPacket, "prefix"> | undefined {
  const view = viewOf(packet);
  const version = (packet[0] ?? 0) >>> 4;
  if (version === 4 && packet.length >= 20) {
    const headerLength = ((packet[0] ?? 0) & 15) * 4;
    const isFirst = (view.getUint16(6) & 0x1fff) === 0; // later fragments have no ports
    return {
      source: renderIpv4(view.getUint32(12)),
      destination: renderIpv4(view.getUint32(16)),
      ...transportOf(view, packet[9] ?? 0, isFirst ? headerLength : packet.length),
    };
  }
  if (version === 6 && packet.length >= 40) {
    return {
      source: ipv6At(view, 8),
      destination: ipv6At(view, 24),
      ...transportOf(view, packet[6] ?? 0, 40),
    };
  }
  return undefined;
}

/** Protocol numbers of IP. */
const protocols: Readonly<Record<number, LoggedPacket["protocol"]>> = {
  1: "icmp",
  6: "tcp",
  17: "udp",
  58: "icmp",
  132: "sctp",
};

function transportOf(
  view: DataView,
  number: number,
  offset: number,
): Pick<LoggedPacket, "protocol" | "port"> {
  const protocol = protocols[number] ?? "other";
  const hasPorts = protocol !== "icmp" && protocol !== "other";
  return {
    protocol,
    port: hasPorts && offset + 4 <= view.byteLength ? view.getUint16(offset + 2) : 0,
  };
}

function ipv6At(view: DataView, offset: number): string {
  const value = (view.getBigUint64(offset) << 64n) | view.getBigUint64(offset + 8);
  return renderIp({ family: "IPv6", value });
}

function config(group: number, ...attributes: readonly Uint8Array[]): NetlinkRequest {
  const header = Uint8Array.of(0, 0, group >>> 8, group & 255);
  return { type: NFULNL_MSG_CONFIG, flags: NLM_F_ACK, payload: concat(header, ...attributes) };
}

function u32be(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
