/**
 * What rules of others do to a packet of ours, with what is not known kept apart.
 *
 * A packet is known in part: its links and ranges of addresses, not its ports. So a condition is true, false or open,
 * and a drop is certain only where it follows from true conditions alone, with no open accept before it. A host's usual
 * blocks (one address, one port) are then no more than suspects, named where a probe was lost; a policy of drop without
 * an accept for us is certain, and so is a rule that drops a range of ours.
 */

import {
  addressBits,
  type Cidr,
  familyOf,
  type IpFamily,
  parseCidr,
  parseIp,
  renderCidr,
} from "../../base/ip.ts";
import type {
  Condition,
  ConditionField,
  ForeignChain,
  ForeignRule,
  ForeignVerdict,
} from "../../model/foreign-rules.ts";

/** Of a packet that opens a connection. What is absent is not known; a link that there is none of is "". */
export interface Packet {
  readonly iifname: string;
  readonly oifname: string;
  readonly source?: Cidr;
  readonly destination?: Cidr;
  readonly protocol: "tcp" | "udp" | "icmp" | "icmpv6";
  readonly port?: number;
}

export interface Drop {
  readonly chain: ForeignChain;
  /** Undefined: the policy of the base chain. */
  readonly rule?: ForeignRule;
  readonly isCertain: boolean;
}

/** Chains jumped to deeper than this are a loop, which the kernel would not have taken. */
const maxDepth = 16;

/** The first place where the base chain drops the packet, or may; undefined where it lets it pass. */
export function dropOf(
  base: ForeignChain,
  chains: readonly ForeignChain[],
  packet: Packet,
): Drop | undefined {
  const end = walk(base, chains, packet, 0);
  if (end.kind === "drop" && !end.isOpen) return end.drop;
  const isFallen = end.kind === "fall" && base.base?.policy === "drop";
  if (isFallen && !end.isOpen) return { chain: base, isCertain: true };
  return end.suspect ?? (isFallen ? { chain: base, isCertain: false } : undefined);
}

interface Passed {
  /** Something on the way may have ended it earlier. */
  readonly isOpen: boolean;
  /** A rule on the way that may drop it. */
  readonly suspect: Drop | undefined;
}

type End = Passed &
  ({ readonly kind: "accept" | "fall" } | { readonly kind: "drop"; readonly drop: Drop });

function walk(
  chain: ForeignChain,
  chains: readonly ForeignChain[],
  packet: Packet,
  depth: number,
): End {
  let isOpen = false;
  let suspect: Drop | undefined;
  const suspected = (rule: ForeignRule): Drop => suspect ?? { chain, rule, isCertain: false };
  for (const rule of chain.rules) {
    const applies = every(rule.conditions.map((condition) => holds(condition, packet)));
    if (applies === false) continue;
    const verdict = resolved(rule.verdict, packet);
    switch (verdict.kind) {
      case "accept":
        if (applies === true) return { kind: "accept", isOpen, suspect };
        isOpen = true;
        break;
      case "drop":
        if (applies !== true || isOpen) suspect = suspected(rule);
        if (applies === true) {
          return { kind: "drop", isOpen, suspect, drop: { chain, rule, isCertain: true } };
        }
        break;
      case "return":
        if (applies === true) return { kind: "fall", isOpen, suspect };
        isOpen = true;
        break;
      case "jump":
      case "goto": {
        const end = walkTo(verdict.chain, chain, chains, packet, depth);
        suspect ??= end.suspect;
        if (applies !== true && end.kind === "drop") suspect = suspected(rule);
        if (applies === true && (end.kind !== "fall" || verdict.kind === "goto")) {
          return { ...end, isOpen: isOpen || end.isOpen, suspect };
        }
        isOpen ||= end.isOpen || (applies !== true && end.kind === "accept");
        break;
      }
      case "unknown":
      case "map":
        isOpen = true;
        break;
      case "continue":
        break;
    }
  }
  return { kind: "fall", isOpen, suspect };
}

/** A chain of the same table; one that is not there may do anything. */
function walkTo(
  name: string,
  from: ForeignChain,
  chains: readonly ForeignChain[],
  packet: Packet,
  depth: number,
): End {
  const target = chains.find(
    (each) =>
      each.name === name &&
      each.table === from.table &&
      each.family === from.family &&
      each.tool === from.tool,
  );
  if (target !== undefined && depth < maxDepth) return walk(target, chains, packet, depth + 1);
  return { kind: "fall", isOpen: true, suspect: undefined };
}

function resolved(verdict: ForeignVerdict, packet: Packet): ForeignVerdict {
  if (verdict.kind !== "map") return verdict;
  const { field, entries } = verdict;
  if (field === "unknown") return { kind: "unknown" };
  for (const [value, found] of entries) {
    const applies = holds({ field, isNegated: false, values: [value] }, packet);
    if (applies === true) return resolved(found, packet);
    if (applies === undefined) return { kind: "unknown" };
  }
  return { kind: "continue" };
}

/** Undefined: cannot be said. */
type Answer = boolean | undefined;

function every(answers: readonly Answer[]): Answer {
  if (answers.includes(false)) return false;
  return answers.includes(undefined) ? undefined : true;
}

function some(answers: readonly Answer[]): Answer {
  if (answers.includes(true)) return true;
  return answers.includes(undefined) ? undefined : false;
}

function holds(condition: Condition, packet: Packet): Answer {
  if (condition.field === "unknown") return undefined;
  const { field, values, isNegated } = condition;
  const found = some(values.map((value) => fits(field, value, packet)));
  return isNegated && found !== undefined ? !found : found;
}

function fits(field: ConditionField, value: string, packet: Packet): Answer {
  switch (field) {
    case "iifname":
    case "oifname":
      return packet[field] !== "" && isNamed(packet[field], value);
    case "source":
    case "destination":
      return isWithin(packet[field], value);
    case "protocol":
      return isProtocol(packet.protocol, value);
    case "port":
      return packet.port === undefined ? undefined : isPort(packet.port, value);
    case "state":
      // It opens a connection; whether it is tracked by then depends on who else has a say.
      return value === "new" ? true : value === "untracked" ? undefined : false;
    case "family": {
      const range = packet.source ?? packet.destination;
      return range === undefined ? undefined : value === familyOf(range.address).toLowerCase();
    }
  }
}

function isNamed(link: string, pattern: string): boolean {
  return pattern.endsWith("*") ? link.startsWith(pattern.slice(0, -1)) : link === pattern;
}

function isWithin(range: Cidr | undefined, text: string): Answer {
  const other = intervalOf(text);
  if (range === undefined || other === undefined) return undefined;
  const own = intervalOf(renderCidr(range));
  if (own === undefined) return undefined;
  if (own.family !== other.family || own.last < other.first || own.first > other.last) return false;
  return own.first >= other.first && own.last <= other.last ? true : undefined;
}

/** Of a prefix, a range or an address; undefined for names and sets. */
function intervalOf(
  text: string,
): { readonly family: IpFamily; readonly first: bigint; readonly last: bigint } | undefined {
  try {
    if (text.includes("/")) {
      const cidr = parseCidr(text);
      const { family, value } = parseIp(cidr.address);
      const hostBits = BigInt(addressBits[family] - cidr.prefixLength);
      return { family, first: value, last: value + (1n << hostBits) - 1n };
    }
    const [from = "", to = from] = text.split("-");
    const { family, value } = parseIp(from);
    return { family, first: value, last: parseIp(to).value };
  } catch {
    return undefined;
  }
}

const protocolNumbers: Readonly<Record<string, string>> = {
  "6": "tcp",
  "17": "udp",
  "1": "icmp",
  "58": "icmpv6",
  "ipv6-icmp": "icmpv6",
};

function isProtocol(protocol: Packet["protocol"], value: string): boolean {
  return (protocolNumbers[value] ?? value) === protocol;
}

const serviceNames: Readonly<Record<string, number>> = { domain: 53, vxlan: 4789 };

function isPort(port: number, value: string): Answer {
  const [first = "", last = first] = value.split("-");
  const low = serviceNames[first] ?? Number(first);
  const high = serviceNames[last] ?? Number(last);
  return Number.isNaN(low) || Number.isNaN(high) ? undefined : port >= low && port <= high;
}
