/** Rtnetlink addresses of links, of both families. */

import { Attributes, addressFamily, concat, familyNumber, ip } from "./attributes.ts";
import {
  malformed,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  viewOf,
} from "./message.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;

const AF_UNSPEC = 0;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RT_SCOPE_HOST = 254;
/** Usable at once: nobody else can have an address that is given out here. */
const IFA_F_NODAD = 0x02;
const headBytes = 8;

export interface LinkAddress {
  readonly linkIndex: number;
  readonly address: string;
  readonly prefixLength: number;
  /** Of no use outside the machine: the kernel never picks it as the source of a connection. */
  readonly hostOnly?: boolean;
}

export function replaceAddress(address: LinkAddress): NetlinkRequest {
  return {
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: addressPayload(address),
  };
}

export function deleteAddress(address: LinkAddress): NetlinkRequest {
  return { type: RTM_DELADDR, flags: 0, payload: addressPayload(address) };
}

export function dumpAddresses(): NetlinkRequest {
  const payload = new Uint8Array(headBytes);
  payload[0] = AF_UNSPEC;
  return { type: RTM_GETADDR, flags: NLM_F_DUMP, payload };
}

export function decodeAddress(payload: Uint8Array): LinkAddress {
  if (payload.length < headBytes) throw malformed(`address of ${payload.length} bytes`);
  const view = viewOf(payload);
  const attributes = new Attributes(payload, headBytes);
  return {
    linkIndex: view.getUint32(4, true),
    address: attributes.ip(IFA_LOCAL) ?? attributes.ip(IFA_ADDRESS) ?? "0.0.0.0",
    prefixLength: view.getUint8(1),
  };
}

function addressPayload(address: LinkAddress): Uint8Array {
  const head = new Uint8Array(headBytes);
  head[0] = familyNumber(address.address);
  head[1] = address.prefixLength;
  head[2] = head[0] === addressFamily.IPv6 ? IFA_F_NODAD : 0;
  head[3] = address.hostOnly ? RT_SCOPE_HOST : 0;
  new DataView(head.buffer).setUint32(4, address.linkIndex, true);
  return concat(head, ip(IFA_LOCAL, address.address), ip(IFA_ADDRESS, address.address));
}
