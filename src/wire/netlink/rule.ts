/** Rtnetlink routing rules of one form: packets from an address take the routes of a table of their own. */

import type { Cidr } from "../../base/ip.ts";
import { Attributes, addressFamily, concat, familyNumber, ip, u32 } from "./attributes.ts";
import {
  malformed,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  viewOf,
} from "./message.ts";

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;

const FRA_SRC = 2;
const FRA_PRIORITY = 6;
const FRA_TABLE = 15;
const FR_ACT_TO_TBL = 1;
const headBytes = 12;

export interface SourceRule {
  readonly source: Cidr;
  readonly table: number;
  /** Rules are asked in ascending order; that of the main table is 32766. */
  readonly priority: number;
}

/** EEXIST where it is there already. */
export function addSourceRule(rule: SourceRule): NetlinkRequest {
  return { type: RTM_NEWRULE, flags: NLM_F_CREATE | NLM_F_EXCL, payload: payloadOf(rule) };
}

/** ENOENT where it is not there. */
export function deleteSourceRule(rule: SourceRule): NetlinkRequest {
  return { type: RTM_DELRULE, flags: 0, payload: payloadOf(rule) };
}

function payloadOf({ source, table, priority }: SourceRule): Uint8Array {
  // `struct fib_rule_hdr`: family, lengths of destination and source, type of service, table, two reserved, action,
  // flags.
  const head = Uint8Array.of(
    ...[familyNumber(source.address), 0, source.prefixLength, 0],
    ...[0, 0, 0, FR_ACT_TO_TBL],
    ...[0, 0, 0, 0],
  );
  return concat(
    head,
    ip(FRA_SRC, source.address),
    u32(FRA_PRIORITY, priority),
    u32(FRA_TABLE, table),
  );
}

/** Lists the rules of both families. */
export function dumpRules(): NetlinkRequest {
  return { type: RTM_GETRULE, flags: NLM_F_DUMP, payload: new Uint8Array(headBytes) };
}

/** A rule that asks for no source is one for all: `0.0.0.0/0` or `::/0`. */
export function decodeRule(payload: Uint8Array): SourceRule {
  if (payload.length < headBytes) throw malformed(`rule of ${payload.length} bytes`);
  const view = viewOf(payload);
  const attributes = new Attributes(payload, headBytes);
  const isIpv6 = view.getUint8(0) === addressFamily.IPv6;
  return {
    source: {
      address: attributes.ip(FRA_SRC) ?? (isIpv6 ? "::" : "0.0.0.0"),
      prefixLength: view.getUint8(2),
    },
    table: attributes.u32(FRA_TABLE) ?? view.getUint8(4),
    priority: attributes.u32(FRA_PRIORITY) ?? 0,
  };
}
