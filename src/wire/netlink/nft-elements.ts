/**
 * Elements of nftables' sets and maps: the bytes of a key or value as the text that our rulesets have for it.
 *
 * The bytes do not say what they are, the set's declaration does: `elementShape` reads it, in the few words that our
 * declarations use. The text is canonical, so what was put and what is there compare as text; nft's own listing has
 * other spellings, and takes ten times as long.
 *
 * Concatenated fields stand at multiples of four bytes. Addresses, ports and protocols are in network byte order, marks
 * and numbers that rules generate in the machine's.
 */

import { addressBits, type IpFamily, renderIp, renderIpv4 } from "../../base/ip.ts";
import { latin1, malformed } from "./message.ts";

export interface ElementShape {
  readonly key: readonly Field[];
  /** Absent in a set. */
  readonly value?: readonly Field[] | "verdict";
  readonly isInterval: boolean;
}

interface Field {
  readonly bytes: number;
  render(bytes: Uint8Array, at: number): string;
  /** The closed range between two fields, where that is not the same as `<first>-<last>`. */
  renderRange?(bytes: Uint8Array, at: number, last: Uint8Array): string;
}

/** What a declaration like `type ipv4_addr . mark : verdict` says; undefined where a word of it is not known here. */
export function elementShape(
  declaration: string,
  flags: readonly string[] = [],
): ElementShape | undefined {
  const words = /^type(?:of)? (.*?)(?: : (.*))?$/.exec(declaration);
  const key = fieldsOf(words?.[1]);
  if (key === undefined) return undefined;
  const isInterval = flags.includes("interval");
  if (words?.[2] === undefined) return { key, isInterval };
  const value = words[2] === "verdict" ? "verdict" : fieldsOf(words[2]);
  return value === undefined ? undefined : { key, value, isInterval };
}

function fieldsOf(concatenation: string | undefined): readonly Field[] | undefined {
  const known = concatenation?.split(" . ").map(fieldOf) ?? [];
  const fields = known.filter((field) => field !== undefined);
  return fields.length === known.length && fields.length > 0 ? fields : undefined;
}

function fieldOf(word: string): Field | undefined {
  if (word.startsWith("numgen ") || word.startsWith("jhash ")) return number;
  return fields[word.replace(/^(ip6?) [sd]addr$/, "$1").replace(/^(tcp|udp|sctp) dport$/, "port")];
}

/** `10.0.0.1 . 80`; a field that stands alone is not padded. */
export function renderFields(fields: readonly Field[], bytes: Uint8Array): string {
  requireLength(fields, bytes);
  let text = "";
  let at = 0;
  for (const field of fields) {
    text += at === 0 ? field.render(bytes, at) : ` . ${field.render(bytes, at)}`;
    at += padded(field.bytes);
  }
  return text;
}

/** The same for a key that stands for a range in each of its fields: `10.0.0.0/8 . 80-90`. */
export function renderFieldRanges(
  fields: readonly Field[],
  first: Uint8Array,
  last: Uint8Array,
): string {
  requireLength(fields, first);
  requireLength(fields, last);
  const parts: string[] = [];
  let at = 0;
  for (const field of fields) {
    const [low, high] = [field.render(first, at), field.render(last, at)];
    const range = () => field.renderRange?.(first, at, last) ?? `${low}-${high}`;
    parts.push(low === high ? low : range());
    at += padded(field.bytes);
  }
  return parts.join(" . ");
}

function requireLength(fields: readonly Field[], bytes: Uint8Array): void {
  const wanted =
    fields.length === 1
      ? (fields[0]?.bytes ?? 0)
      : fields.reduce((sum, field) => sum + padded(field.bytes), 0);
  if (bytes.length !== wanted) {
    throw malformed(`element of ${bytes.length} bytes, want ${wanted}`);
  }
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** IP protocols that our rulesets name. */
const protocols: Readonly<Record<number, string>> = { 6: "tcp", 17: "udp", 132: "sctp" };

const ipv4: Field = {
  bytes: 4,
  render: (bytes, at) => renderIpv4(bigEndian32(bytes, at)),
  renderRange: (bytes, at, last) => addressRange("IPv4", bytes, at, last),
};
const ipv6: Field = {
  bytes: 16,
  render: (bytes, at) => renderIp({ family: "IPv6", value: bigEndian(bytes, at, 16) }),
  renderRange: (bytes, at, last) => addressRange("IPv6", bytes, at, last),
};
const port: Field = {
  bytes: 2,
  render: (bytes, at) => `${((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)}`,
};
const protocol: Field = {
  bytes: 1,
  render: (bytes, at) => protocols[bytes[at] ?? 0] ?? `${bytes[at]}`,
};
const mark: Field = {
  bytes: 4,
  render: (bytes, at) => `0x${littleEndian32(bytes, at).toString(16).padStart(8, "0")}`,
};
const number: Field = { bytes: 4, render: (bytes, at) => `${littleEndian32(bytes, at)}` };
const link: Field = {
  bytes: 16,
  render: (bytes, at) => `"${latin1(bytes.subarray(at, at + 16))}"`,
};

const fields: Readonly<Record<string, Field>> = {
  ipv4_addr: ipv4,
  ip: ipv4,
  ipv6_addr: ipv6,
  ip6: ipv6,
  inet_service: port,
  port,
  inet_proto: protocol,
  mark,
  "meta mark": mark,
  "ct mark": mark,
  ifname: link,
};

function addressRange(family: IpFamily, bytes: Uint8Array, at: number, last: Uint8Array): string {
  const bits = addressBits[family];
  const from = bigEndian(bytes, at, bits / 8);
  const to = bigEndian(last, at, bits / 8);
  const size = to - from + 1n;
  const isPrefix = size > 0n && (size & (size - 1n)) === 0n && (from & (size - 1n)) === 0n;
  const text = renderIp({ family, value: from });
  return isPrefix
    ? `${text}/${bits - (size.toString(2).length - 1)}`
    : `${text}-${renderIp({ family, value: to })}`;
}

/** By hand, since a view for each field is half of the time that ten thousands of elements take. */
function bigEndian32(bytes: Uint8Array, at: number): number {
  return word(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
}

function littleEndian32(bytes: Uint8Array, at: number): number {
  return word(bytes[at + 3], bytes[at + 2], bytes[at + 1], bytes[at]);
}

function word(a = 0, b = 0, c = 0, d = 0): number {
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

function bigEndian(bytes: Uint8Array, at: number, length: number): bigint {
  let value = 0n;
  for (let i = at; i < at + length; i++) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value;
}
