/** Rtnetlink IPv4 addresses of links. */

import { Attributes, concat, ipv4 } from "./attributes.ts";
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

const AF_INET = 2;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RT_SCOPE_HOST = 254;
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
  payload[0] = AF_INET;
  return { type: RTM_GETADDR, flags: NLM_F_DUMP, payload };
}

export function decodeAddress(payload: Uint8Array): LinkAddress {
  if (payload.length < headBytes) throw malformed(`address of ${payload.length} bytes`);
  const view = viewOf(payload);
  const attributes = new Attributes(payload, headBytes);
  return {
    linkIndex: view.getUint32(4, true),
    address: attributes.ipv4(IFA_LOCAL) ?? attributes.ipv4(IFA_ADDRESS) ?? "0.0.0.0",
    prefixLength: view.getUint8(1),
  };
}

function addressPayload(address: LinkAddress): Uint8Array {
  const head = new Uint8Array(headBytes);
  head[0] = AF_INET;
  head[1] = address.prefixLength;
  head[3] = address.hostOnly ? RT_SCOPE_HOST : 0;
  new DataView(head.buffer).setUint32(4, address.linkIndex, true);
  return concat(head, ipv4(IFA_LOCAL, address.address), ipv4(IFA_ADDRESS, address.address));
}
