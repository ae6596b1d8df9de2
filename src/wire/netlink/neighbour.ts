/**
 * Rtnetlink neighbours (which hardware address has this address on a link) and forwarding entries (which node
 * has this hardware address on a VXLAN device). Both are one kernel structure under two families.
 */

import { Attributes, concat, familyNumber, ip, mac, u32 } from "./attributes.ts";
import {
  malformed,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  viewOf,
} from "./message.ts";

const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;

const AF_UNSPEC = 0;
const AF_BRIDGE = 7;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_IFINDEX = 8;
const NUD_PERMANENT = 0x80;
/** The entry is the device's own, not that of a bridge it is a port of. */
const NTF_SELF = 0x02;
const headBytes = 12;

export interface Neighbour {
  readonly linkIndex: number;
  readonly address: string;
  readonly mac: string;
}

export interface Forwarding {
  readonly linkIndex: number;
  readonly mac: string;
  readonly remote: string;
}

export function replaceNeighbour(neighbour: Neighbour): NetlinkRequest {
  return {
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: concat(
      neighbourHeader(familyNumber(neighbour.address), neighbour.linkIndex, NUD_PERMANENT, 0),
      ip(NDA_DST, neighbour.address),
      mac(NDA_LLADDR, neighbour.mac),
    ),
  };
}

export function deleteNeighbour(neighbour: Neighbour): NetlinkRequest {
  return {
    type: RTM_DELNEIGH,
    flags: 0,
    payload: concat(
      neighbourHeader(familyNumber(neighbour.address), neighbour.linkIndex, 0, 0),
      ip(NDA_DST, neighbour.address),
    ),
  };
}

export function replaceForwarding(entry: Forwarding): NetlinkRequest {
  return {
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: forwardingPayload(entry),
  };
}

export function deleteForwarding(entry: Forwarding): NetlinkRequest {
  return { type: RTM_DELNEIGH, flags: 0, payload: forwardingPayload(entry) };
}

export function dumpNeighbours(): NetlinkRequest {
  return {
    type: RTM_GETNEIGH,
    flags: NLM_F_DUMP,
    payload: neighbourHeader(AF_UNSPEC, 0, 0, 0),
  };
}

/** Lists the forwarding entries of one link. */
export function dumpForwarding(linkIndex: number): NetlinkRequest {
  return {
    type: RTM_GETNEIGH,
    flags: NLM_F_DUMP,
    payload: concat(neighbourHeader(AF_BRIDGE, 0, 0, 0), u32(NDA_IFINDEX, linkIndex)),
  };
}

/** A permanent neighbour; undefined for one that the kernel learned. */
export function decodeNeighbour(payload: Uint8Array): Neighbour | undefined {
  const { linkIndex, state, attributes } = decode(payload);
  const address = attributes.ip(NDA_DST);
  const hardware = attributes.mac(NDA_LLADDR);
  if ((state & NUD_PERMANENT) === 0 || address === undefined || hardware === undefined) {
    return undefined;
  }
  return { linkIndex, address, mac: hardware };
}

/** A permanent forwarding entry with a remote; undefined for any other. */
export function decodeForwarding(payload: Uint8Array): Forwarding | undefined {
  const { linkIndex, state, attributes } = decode(payload);
  const hardware = attributes.mac(NDA_LLADDR);
  if ((state & NUD_PERMANENT) === 0 || hardware === undefined) return undefined;
  const remote = attributes.ip(NDA_DST);
  return remote === undefined ? undefined : { linkIndex, mac: hardware, remote };
}

function decode(payload: Uint8Array): {
  readonly linkIndex: number;
  readonly state: number;
  readonly attributes: Attributes;
} {
  if (payload.length < headBytes) throw malformed(`neighbour of ${payload.length} bytes`);
  const view = viewOf(payload);
  return {
    linkIndex: view.getInt32(4, true),
    state: view.getUint16(8, true),
    attributes: new Attributes(payload, headBytes),
  };
}

function forwardingPayload(entry: Forwarding): Uint8Array {
  return concat(
    neighbourHeader(AF_BRIDGE, entry.linkIndex, NUD_PERMANENT, NTF_SELF),
    mac(NDA_LLADDR, entry.mac),
    ip(NDA_DST, entry.remote),
  );
}

function neighbourHeader(
  family: number,
  linkIndex: number,
  state: number,
  flags: number,
): Uint8Array {
  const bytes = new Uint8Array(headBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = family;
  view.setInt32(4, linkIndex, true);
  view.setUint16(8, state, true);
  bytes[10] = flags;
  return bytes;
}
