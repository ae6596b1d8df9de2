/**
 * Ctnetlink: listing the tracked connections that an address takes part in, and deleting one.
 *
 * A filtered listing is filtered by kernels since 5.8; older ones ignore the filter and list everything, so whoever
 * lists also compares. A connection is deleted by its original tuple, sent back byte for byte with the id that
 * distinguishes it from a later connection of the same tuple.
 */

import { familyOf } from "../../base/ip.ts";
import { Attributes, concat, familyNumber, ip, nest, raw, u32 } from "./attributes.ts";
import { malformed, type NetlinkRequest, NLM_F_DUMP } from "./message.ts";

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_NEW = (NFNL_SUBSYS_CTNETLINK << 8) | 0;
const IPCTNL_MSG_CT_GET = (NFNL_SUBSYS_CTNETLINK << 8) | 1;
const IPCTNL_MSG_CT_DELETE = (NFNL_SUBSYS_CTNETLINK << 8) | 2;
const IPCTNL_MSG_CT_GET_STATS = (NFNL_SUBSYS_CTNETLINK << 8) | 5;
const CTA_STATS_GLOBAL_ENTRIES = 1;

const AF_UNSPEC = 0;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
const CTA_FILTER_F_IP_SRC = 1 << 0;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const headBytes = 4;

/** The place in a connection's two tuples where an address may stand. */
export type ConnectionEnd = "original-source" | "reply-source";

export interface Connection {
  readonly original: ConnectionTuple;
  readonly reply: ConnectionTuple;
  /** What names it to the kernel: its original tuple, id and zone, copied. */
  readonly key: Uint8Array;
}

export interface ConnectionTuple {
  readonly source: string;
  readonly destination: string;
  /** IP protocol number. */
  readonly protocol: number;
  /** 0 for a protocol without ports. */
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** Lists all connections, of both families. */
export function dumpConnections(): NetlinkRequest {
  return { type: IPCTNL_MSG_CT_GET, flags: NLM_F_DUMP, payload: header(AF_UNSPEC) };
}

/** Lists the connections that have `address` at `end`. */
export function dumpConnectionsOf(end: ConnectionEnd, address: string): NetlinkRequest {
  const [tuple, flags] =
    end === "original-source"
      ? [CTA_TUPLE_ORIG, CTA_FILTER_ORIG_FLAGS]
      : [CTA_TUPLE_REPLY, CTA_FILTER_REPLY_FLAGS];
  return {
    type: IPCTNL_MSG_CT_GET,
    flags: NLM_F_DUMP,
    payload: concat(
      header(familyNumber(address)),
      nest(
        tuple,
        nest(
          CTA_TUPLE_IP,
          ip(familyOf(address) === "IPv4" ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, address),
        ),
      ),
      nest(CTA_FILTER, u32(flags, CTA_FILTER_F_IP_SRC)),
    ),
  };
}

/** Asks how many connections the namespace tracks. */
export function getConnectionCount(): NetlinkRequest {
  return { type: IPCTNL_MSG_CT_GET_STATS, flags: 0, payload: header(AF_UNSPEC) };
}

export function decodeConnectionCount(payload: Uint8Array): number {
  return new Attributes(payload, headBytes).u32be(CTA_STATS_GLOBAL_ENTRIES) ?? 0;
}

export function deleteConnection(connection: Connection): NetlinkRequest {
  return {
    type: IPCTNL_MSG_CT_DELETE,
    flags: 0,
    payload: concat(header(familyNumber(connection.original.source)), connection.key),
  };
}

/** Undefined for a message that is not a connection. */
export function decodeConnection(type: number, payload: Uint8Array): Connection | undefined {
  if (type !== IPCTNL_MSG_CT_NEW) return undefined;
  if (payload.length < headBytes) throw malformed(`connection of ${payload.length} bytes`);
  const attributes = new Attributes(payload, headBytes);
  const key = [CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE].flatMap((type) => {
    const value = attributes.raw(type);
    return value === undefined ? [] : [raw(type === CTA_TUPLE_ORIG ? type | 0x8000 : type, value)];
  });
  return {
    original: decodeTuple(attributes.nested(CTA_TUPLE_ORIG)),
    reply: decodeTuple(attributes.nested(CTA_TUPLE_REPLY)),
    key: concat(...key),
  };
}

/**
 * True where `address` opened the connection or answers it. Whom it was addressed to says nothing: that may be a
 * Service's address, and where it is the answering one, the reply's source says so.
 */
export function connectionInvolves(
  { original, reply }: Connection,
  addresses: ReadonlySet<string>,
): boolean {
  return addresses.has(original.source) || addresses.has(reply.source);
}

/** `struct nfgenmsg`. */
function header(family: number): Uint8Array {
  return Uint8Array.of(family, 0, 0, 0);
}

function decodeTuple(tuple: Attributes | undefined): ConnectionTuple {
  const ip = tuple?.nested(CTA_TUPLE_IP);
  const transport = tuple?.nested(CTA_TUPLE_PROTO);
  return {
    protocol: transport?.u8(CTA_PROTO_NUM) ?? 0,
    sourcePort: transport?.u16be(CTA_PROTO_SRC_PORT) ?? 0,
    destinationPort: transport?.u16be(CTA_PROTO_DST_PORT) ?? 0,
    source: ip?.ip(CTA_IP_V4_SRC) ?? ip?.ip(CTA_IP_V6_SRC) ?? "",
    destination: ip?.ip(CTA_IP_V4_DST) ?? ip?.ip(CTA_IP_V6_DST) ?? "",
  };
}
