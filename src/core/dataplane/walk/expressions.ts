/**
 * Values of nft expressions for one packet: the part of the language that our rulesets use, and no more.
 *
 * A value is the text that stands in sets and maps for it (`10.0.0.1`, `tcp`, `80`, `0x00000002`), so a look-up is a
 * comparison of texts, and only intervals need arithmetic. What is not understood throws: a rule that this reads
 * wrongly would be worse than one that it does not read.
 */

import { cidrContains, compareIps, familyOf, isIp, parseCidr } from "../../../base/ip.ts";
import type { NftMap, NftSet } from "../../../model/node-state.ts";
import { elementsOf } from "../../../model/ruleset-text.ts";

export interface Packet {
  source: string;
  destination: string;
  readonly protocol: string;
  readonly sourcePort: number;
  destinationPort: number;
  /** Interface it came in by; undefined for what the node itself sends. */
  readonly inLink?: string;
  /** Interface it leaves by, once it is routed. */
  outLink?: string;
  mark: number;
  connection: ConnectionState;
}

export interface ConnectionState {
  readonly state: "new" | "established" | "invalid";
  mark: number;
  readonly labels: Set<number>;
  dnat: boolean;
  readonly original: { readonly destination: string; readonly destinationPort: number };
}

/** What the packet's own bytes do not say. */
export interface Surroundings {
  isLocal(address: string): boolean;
  /** A number below `count`: what `numgen random` gives, and `jhash` where it chooses a slot. */
  choose(count: number): number;
}

/** Reads tokens of a rule from left to right. */
export class Reader {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(rule: string) {
    this.#tokens = rule.match(/"[^"]*"|[{},]|[^\s{},]+/g) ?? [];
  }

  get done(): boolean {
    return this.#at >= this.#tokens.length;
  }

  peek(offset = 0): string {
    return this.#tokens[this.#at + offset] ?? "";
  }

  next(): string {
    const token = this.peek();
    this.#at += 1;
    return token;
  }

  /** Takes the words if they are next. */
  take(words: string): boolean {
    const list = words.split(" ");
    if (!list.every((word, index) => this.peek(index) === word)) return false;
    this.#at += list.length;
    return true;
  }

  expect(word: string): void {
    if (!this.take(word)) throw new SyntaxError(`expected "${word}" before "${this.rest()}"`);
  }

  rest(): string {
    return this.#tokens.slice(this.#at).join(" ");
  }
}

/** The parts of an expression, or undefined where the packet does not have what it asks for. */
export function evaluate(
  reader: Reader,
  packet: Packet,
  around: Surroundings,
): readonly string[] | undefined {
  const parts: string[] = [];
  let missing = false;
  do {
    const value = primary(reader, packet, around);
    if (value === undefined) missing = true;
    else parts.push(value);
  } while (reader.take("."));
  return missing ? undefined : parts;
}

function primary(reader: Reader, packet: Packet, around: Surroundings): string | undefined {
  for (const [words, value] of simple) if (reader.take(words)) return value(packet);
  if (reader.take("meta mark")) return masked(reader, packet.mark);
  if (reader.take("ct mark")) return masked(reader, packet.connection.mark);
  if (reader.take("fib")) {
    const end = reader.next() === "saddr" ? packet.source : packet.destination;
    reader.expect("type");
    return around.isLocal(end) ? "local" : "unicast";
  }
  if (reader.take("numgen random mod")) return String(around.choose(Number(reader.next())));
  if (reader.take("jhash")) {
    const input = evaluate(reader, packet, around);
    reader.expect("mod");
    const modulus = Number(reader.next());
    reader.expect("seed");
    reader.next();
    // Which number the kernel's hash gives is not ours to know: any of few, and for clients the client itself.
    return modulus < 2 ** 20 ? String(around.choose(modulus)) : input?.join(" ");
  }
  throw new SyntaxError(`no expression at "${reader.rest()}"`);
}

function masked(reader: Reader, mark: number): string {
  if (reader.take("&")) return renderMark(mark & Number(reader.next()));
  if (reader.take("|")) return renderMark(mark | Number(reader.next()));
  return renderMark(mark);
}

const simple: readonly (readonly [string, (packet: Packet) => string | undefined])[] = [
  ["ip saddr", (packet) => ofFamily(packet.source, "IPv4")],
  ["ip daddr", (packet) => ofFamily(packet.destination, "IPv4")],
  ["ip6 saddr", (packet) => ofFamily(packet.source, "IPv6")],
  ["ip6 daddr", (packet) => ofFamily(packet.destination, "IPv6")],
  ["meta nfproto", (packet) => (familyOf(packet.source) === "IPv4" ? "ipv4" : "ipv6")],
  ["meta l4proto", (packet) => packet.protocol],
  ["th dport", (packet) => String(packet.destinationPort)],
  ["th sport", (packet) => String(packet.sourcePort)],
  ["tcp dport", (packet) => portOf(packet, "tcp")],
  ["udp dport", (packet) => portOf(packet, "udp")],
  ["iifname", (packet) => `"${packet.inLink ?? ""}"`],
  ["oifname", (packet) => `"${packet.outLink ?? ""}"`],
  ["ct state", (packet) => packet.connection.state],
  ["ct status & confirmed", () => "0"],
  // What is walked opens a connection, and is not in the kernel's table yet.
  [
    "tcp flags & (fin | syn | rst | ack)",
    ({ protocol }) => (protocol === "tcp" ? "syn" : undefined),
  ],
  ["ct status", (packet) => (packet.connection.dnat ? "dnat" : "")],
  ["ct original ip daddr", (packet) => ofFamily(packet.connection.original.destination, "IPv4")],
  ["ct original proto-dst", (packet) => String(packet.connection.original.destinationPort)],
  ["icmp type", () => undefined],
  ["icmpv6 type", () => undefined],
];

function ofFamily(address: string, family: "IPv4" | "IPv6"): string | undefined {
  return familyOf(address) === family ? address : undefined;
}

function portOf(packet: Packet, protocol: string): string | undefined {
  return packet.protocol === protocol ? String(packet.destinationPort) : undefined;
}

export function renderMark(mark: number): string {
  return `0x${(mark >>> 0).toString(16).padStart(8, "0")}`;
}

/** The element that the parts fall on: its text for a set, its value for a map. */
export function lookUp(collection: NftSet | NftMap, parts: readonly string[]): string | undefined {
  const key = parts.join(" . ");
  if (!("parts" in collection) && Array.isArray(collection.elements)) {
    const list: readonly string[] = collection.elements;
    return list.find((element) => element === key || covers(element, parts));
  }
  for (const part of piecesOf(collection)) {
    const exact = part.get(key);
    if (exact !== undefined) return exact;
  }
  for (const part of piecesOf(collection)) {
    if (collection.flags?.includes("interval") !== true && !part.has("*")) continue;
    for (const [element, value] of part) if (covers(element, parts)) return value;
  }
  return undefined;
}

function piecesOf(collection: NftSet | NftMap): readonly ReadonlyMap<string, string>[] {
  return isMap(collection) ? elementsOf(collection) : [];
}

function isMap(collection: NftSet | NftMap): collection is NftMap {
  return collection.elements instanceof Map;
}

export function covers(element: string, parts: readonly string[]): boolean {
  const wanted = element.split(" . ");
  return (
    element === "*" ||
    (wanted.length === parts.length &&
      wanted.every((pattern, index) => isWithin(parts[index] ?? "", pattern)))
  );
}

/** `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, `80-90`, `"hd*"`, or the value itself. */
function isWithin(value: string, pattern: string): boolean {
  if (value === pattern) return true;
  if (pattern.endsWith('*"')) return value.startsWith(pattern.slice(0, -2));
  if (pattern.includes("/")) return isIp(value) && cidrContains(parseCidr(pattern), value);
  const [first = "", last, ...more] = pattern.split("-");
  if (last === undefined || more.length > 0) return false;
  if (isIp(first))
    return isIp(value) && compareIps(first, value) <= 0 && compareIps(value, last) <= 0;
  return Number(first) <= Number(value) && Number(value) <= Number(last);
}
