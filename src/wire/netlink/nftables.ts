/**
 * Nfnetlink's nf_tables, as far as it is asked: the generation of the rules, the elements of a set or map, and what the
 * kernel announces of each transaction.
 *
 * What is put goes through libnftables, as text; what is there is read here, because ten thousands of elements are read
 * back after each restart. A set of single intervals is a list of boundaries: a key that begins a range and one,
 * flagged, that begins what is no longer in it.
 */

import { Attributes, attributeList, concat, text } from "./attributes.ts";
import { latin1, malformed, type NetlinkRequest, NLM_F_DUMP } from "./message.ts";
import { type ElementShape, renderFieldRanges, renderFields } from "./nft-elements.ts";

const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_NEWSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 12;
const NFT_MSG_GETSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 13;
const NFT_MSG_NEWGEN = (NFNL_SUBSYS_NFTABLES << 8) | 15;
const NFT_MSG_GETGEN = (NFNL_SUBSYS_NFTABLES << 8) | 16;

const NFPROTO_INET = 1;
const NFTA_TABLE = 1;
const NFTA_GEN_ID = 1;
const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_SET_ELEM_FLAGS = 3;
const NFTA_SET_ELEM_KEY_END = 10;
const NFT_SET_ELEM_INTERVAL_END = 1;
const NFT_SET_ELEM_CATCHALL = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
const headBytes = 4;

/** Asks for the number that every transaction of anybody in the namespace raises by one. */
export function getRulesGeneration(): NetlinkRequest {
  return { type: NFT_MSG_GETGEN, flags: 0, payload: Uint8Array.of(0, 0, 0, 0) };
}

/** Undefined for another message. */
export function decodeRulesGeneration(payload: Uint8Array, type: number): number | undefined {
  if (type !== NFT_MSG_NEWGEN) return undefined;
  return new Attributes(payload, headBytes).u32be(NFTA_GEN_ID);
}

/** Of the kernel's announcements to whoever listens, that of rules. */
export const rulesGroup = 7;

/** One object of a transaction, by its table, or the transaction's number, which follows its objects. */
export type Announcement =
  | { readonly kind: "change"; readonly table: string }
  | { readonly kind: "end"; readonly number: number };

/** Objects of every kind name their table in the same place, and tables themselves. Undefined for another message. */
export function decodeAnnouncement(payload: Uint8Array, type: number): Announcement | undefined {
  if (type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
  const number = decodeRulesGeneration(payload, type);
  if (number !== undefined) return { kind: "end", number };
  const table = new Attributes(payload, headBytes).raw(NFTA_TABLE);
  return { kind: "change", table: table === undefined ? "" : latin1(table) };
}

/** Lists the elements of a set or map of table `inet <table>`. */
export function dumpElements(table: string, collection: string): NetlinkRequest {
  return {
    type: NFT_MSG_GETSETELEM,
    flags: NLM_F_DUMP,
    payload: concat(
      Uint8Array.of(NFPROTO_INET, 0, 0, 0),
      text(NFTA_SET_ELEM_LIST_TABLE, table),
      text(NFTA_SET_ELEM_LIST_SET, collection),
    ),
  };
}

/** One element of a dump, or one boundary of a range. */
export interface DumpedElement {
  readonly key: string;
  /** `""` in a set. */
  readonly value: string;
  /** Of a set of single intervals: where the key stands, and whether a range ends before it. */
  readonly boundary?: { readonly at: bigint; readonly isEnd: boolean };
}

/** The elements of one message; undefined for another message. Throws MeshError where the shape is not the set's. */
export function decodeElements(
  payload: Uint8Array,
  type: number,
  shape: ElementShape,
): readonly DumpedElement[] | undefined {
  if (type !== NFT_MSG_NEWSETELEM) return undefined;
  const list = new Attributes(payload, headBytes).raw(NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list === undefined) return [];
  return attributeList(list).map(({ value }) => decodeElement(new Attributes(value), shape));
}

function decodeElement(element: Attributes, shape: ElementShape): DumpedElement {
  const flags = element.u32be(NFTA_SET_ELEM_FLAGS) ?? 0;
  const value = elementValue(element.nested(NFTA_SET_ELEM_DATA), shape);
  if ((flags & NFT_SET_ELEM_CATCHALL) !== 0) return { key: "*", value };
  const first = element.nested(NFTA_SET_ELEM_KEY)?.raw(NFTA_DATA_VALUE);
  if (first === undefined) throw malformed("element without a key");
  const last = element.nested(NFTA_SET_ELEM_KEY_END)?.raw(NFTA_DATA_VALUE);
  if (last !== undefined) return { key: renderFieldRanges(shape.key, first, last), value };
  const key = renderFields(shape.key, first);
  if (!shape.isInterval || shape.key.length > 1) return { key, value };
  const isEnd = (flags & NFT_SET_ELEM_INTERVAL_END) !== 0;
  return { key, value, boundary: { at: bigEndian(first), isEnd } };
}

function elementValue(data: Attributes | undefined, shape: ElementShape): string {
  if (shape.value === undefined || data === undefined) return "";
  if (shape.value !== "verdict") {
    const bytes = data.raw(NFTA_DATA_VALUE);
    if (bytes === undefined) throw malformed("element without a value");
    return renderFields(shape.value, bytes);
  }
  const verdict = data.nested(NFTA_DATA_VERDICT);
  const code = verdict?.u32be(NFTA_VERDICT_CODE) ?? 0;
  const chain = verdict?.raw(NFTA_VERDICT_CHAIN);
  const word = verdicts[code | 0] ?? `${code | 0}`;
  return chain === undefined ? word : `${word} ${latin1(chain)}`;
}

/** Codes below 0 are nf_tables' own. */
const verdicts: Readonly<Record<number, string>> = {
  0: "drop",
  1: "accept",
  [-1]: "continue",
  [-3]: "jump",
  [-4]: "goto",
  [-5]: "return",
};

/** The ranges between boundaries, as text and in order; what has no end goes to the last address. */
export function rangesOf(elements: readonly DumpedElement[], shape: ElementShape): string[] {
  const boundaries = elements
    .flatMap(({ boundary }) => (boundary === undefined ? [] : [boundary]))
    // Where one range ends and the next begins, the end comes first.
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : Number(b.isEnd) - Number(a.isEnd)));
  const bytes = shape.key[0]?.bytes ?? 0;
  const render = (from: bigint, to: bigint) =>
    renderFieldRanges(shape.key, toBytes(from, bytes), toBytes(to, bytes));
  const ranges: string[] = [];
  let from: bigint | undefined;
  for (const { at, isEnd } of boundaries) {
    if (from !== undefined) ranges.push(render(from, at - 1n));
    from = isEnd ? undefined : at;
  }
  if (from !== undefined) ranges.push(render(from, (1n << BigInt(bytes * 8)) - 1n));
  return ranges;
}

function bigEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function toBytes(value: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 255n);
  return bytes;
}
