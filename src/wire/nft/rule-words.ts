/**
 * The words of one nftables rule: conditions on what a packet is, and the verdict at its end.
 *
 * Each reader takes what it knows off the front of the text and gives back the rest, which is always shorter.
 */

import type { Condition, ConditionField, ForeignVerdict } from "../../model/foreign-rules.ts";

const fields: readonly (readonly [pattern: RegExp, field: ConditionField])[] = [
  [/^(?:meta )?(?:iifname|iif)(?= )/, "iifname"],
  [/^(?:meta )?(?:oifname|oif)(?= )/, "oifname"],
  [/^ip6? saddr(?= )/, "source"],
  [/^ip6? daddr(?= )/, "destination"],
  [/^(?:ip protocol|ip6 nexthdr|meta l4proto)(?= )/, "protocol"],
  [/^meta nfproto(?= )/, "family"],
  [/^ct state(?= )/, "state"],
  [/^th dport(?= )/, "port"],
];

/** Say nothing about which packets are meant. */
const silent: readonly RegExp[] = [
  /^counter(?: packets \d+ bytes \d+)?/,
  /^comment "[^"]*"/,
  /^log(?: (?:prefix "[^"]*"|level \S+|group \d+|snaplen \d+|queue-threshold \d+|flags (?:tcp \S+|\S+)))*/,
  /^meta nftrace set \S+/,
  /^# .*$/,
];

const value = /^(?:"[^"]*"|[^\s{]+(?:, ?[^\s{]+)*)/;

export interface Read {
  /** None where the words limit nothing. */
  readonly conditions: readonly Condition[];
  readonly rest: string;
}

/** Reads what the first words demand off the front; at least one word is taken. */
export function readCondition(text: string): Read {
  for (const pattern of silent) {
    const found = pattern.exec(text);
    if (found !== null) return { conditions: [], rest: text.slice(found[0].length).trim() };
  }
  const transport = /^(tcp|udp|sctp|dccp) dport(?= )/.exec(text);
  if (transport !== null) {
    const ports = readValues("port", text.slice(transport[0].length));
    const protocol = { field: "protocol", isNegated: false, values: [transport[1] ?? ""] } as const;
    if (ports !== undefined) return { ...ports, conditions: [protocol, ...ports.conditions] };
  }
  for (const [pattern, field] of fields) {
    const found = pattern.exec(text);
    const read = found === null ? undefined : readValues(field, text.slice(found[0].length));
    if (read !== undefined) return read;
  }
  const word = /^(?:"[^"]*"|\{[^}]*\}|\S+)\s*/.exec(text)?.[0] ?? text;
  return { conditions: [{ field: "unknown" }], rest: text.slice(word.length) };
}

/** ` != { a, b }`, ` a`, ` @set`; undefined where it is something else. */
function readValues(field: ConditionField, text: string): Read | undefined {
  const trimmed = text.trimStart();
  const operator = /^(?:== |!= )/.exec(trimmed)?.[0] ?? "";
  const after = trimmed.slice(operator.length).trimStart();
  if (/^(?:<|>|&|and |or |\. |vmap |map )/.test(after)) return undefined;
  const isNegated = operator === "!= ";
  const list = /^\{([^}]*)\}/.exec(after);
  if (list !== null) {
    const values = (list[1] ?? "").split(",").map(unquoted);
    return { conditions: [{ field, isNegated, values }], rest: after.slice(list[0].length).trim() };
  }
  const found = value.exec(after)?.[0] ?? "";
  const rest = after.slice(found.length).trim();
  // Concatenations and sets by name are not followed.
  if (found === "" || found.startsWith("@") || rest.startsWith(". ")) {
    const beyond = rest.replace(/^\. \S+( \S+)?/, "").trim();
    return { conditions: [{ field: "unknown" }], rest: beyond };
  }
  // `ct state new,established`: either will do; nothing else has commas outside of braces.
  return { conditions: [{ field, isNegated, values: found.split(",").map(unquoted) }], rest };
}

/** The verdict that the whole rest of a rule is; undefined where a condition comes first. */
export function readVerdict(text: string): ForeignVerdict | undefined {
  const bare = text.replace(/\s*(?:comment "[^"]*"\s*)?(?:# .*)?$/, "").trim();
  if (/^(?:accept|return|continue|drop)$/.test(bare)) return simple(bare);
  if (/^reject\b/.test(bare)) return { kind: "drop" };
  const [, how, chain] = /^(jump|goto) (\S+)$/.exec(bare) ?? [];
  if (chain !== undefined) return { kind: how === "goto" ? "goto" : "jump", chain };
  const [, words = "", entries] = /^(.+?) vmap \{([^}]*)\}$/.exec(bare) ?? [];
  if (entries !== undefined) return readMap(words, entries);
  if (/^(?:queue|dnat|snat|masquerade|redirect|tproxy|fwd|dup|notrack|synproxy)\b/.test(bare)) {
    return { kind: "unknown" };
  }
  return undefined;
}

/** Undefined where conditions come before the field. */
function readMap(words: string, text: string): ForeignVerdict | undefined {
  const known = fields.find(([pattern]) => pattern.exec(`${words} `)?.[0] === words);
  const field = known?.[1] ?? (/^(?:tcp|udp) dport$/.test(words) ? "port" : undefined);
  if (field === undefined) return /^\S+( \S+)?$/.test(words) ? { kind: "unknown" } : undefined;
  return {
    kind: "map",
    field,
    entries: text.split(",").map((entry) => {
      const at = entry.lastIndexOf(" : ");
      const verdict = readVerdict(entry.slice(at + 3).trim()) ?? { kind: "unknown" as const };
      return [unquoted(entry.slice(0, at)), verdict] as const;
    }),
  };
}

function simple(word: string): ForeignVerdict {
  switch (word) {
    case "accept":
    case "return":
    case "continue":
    case "drop":
      return { kind: word };
    default:
      return { kind: "unknown" };
  }
}

function unquoted(text: string): string {
  return text.trim().replace(/^"(.*)"$/, "$1");
}
