/**
 * Whether rules say of every opening what they said of one like it, for as long as nobody changes them.
 *
 * The fast path remembers an opening by link, addresses and destination's port (bpf/verdicts.h). What rules read
 * besides, of the packet, of the machine or of what came before it, may be different at the next one: a source port,
 * the time, a rate, a set that packets fill or whose elements expire. So these are lists of what is known to stay the
 * same, and all else, whatever later kernels bring, does not. Counters pass, although they miss what takes the fast
 * path; what writes a log, or something on a packet or connection, does not.
 *
 * Only rules that a forwarded packet can meet are judged, and of chains on links none: such links have no fast path
 * (fast-path.ts). A rule that translates is steady: no translated connection is remembered.
 */

import type { InParts } from "../base/parts.ts";
import type { Attributes } from "../wire/netlink/attributes.ts";
import {
  type Chain,
  type DeclaredSet,
  type Expression,
  nftFamilies,
  type Rule,
  type TableName,
} from "../wire/netlink/nft-rules.ts";

export interface RulesOfOthers {
  readonly chains: readonly Chain[];
  readonly sets: readonly DeclaredSet[];
  readonly rules: readonly Rule[];
}

/**
 * Where openings may be judged anew, as table, chain and expression; undefined where nowhere. `unsteadyElements` says
 * it of a set's elements, as what the set does.
 */
export function* unsteadyRule(
  others: RulesOfOthers,
  unsteadyElements: (set: DeclaredSet) => InParts<string | undefined>,
): InParts<string | undefined> {
  const sets = new Map(others.sets.map((set) => [nameIn(set, set.name), set]));
  const filled = new Set(
    others.rules.flatMap((rule) =>
      rule.expressions.flatMap(({ name, attributes }) =>
        name === "dynset"
          ? [nameIn(rule, attributes.text(1 /* NFTA_DYNSET_SET_NAME */) ?? "")]
          : [],
      ),
    ),
  );
  const asked = new Map<string, string | undefined>();
  const unsteadySet = function* (name: string): InParts<string | undefined> {
    const set = sets.get(name);
    if (set === undefined || filled.has(name) || (set.flags & unsteadyFlags) !== 0) return changes;
    if (!asked.has(name)) asked.set(name, yield* unsteadyElements(set));
    return asked.get(name);
  };
  const met = chainsOnTheWay(others, sets);
  for (const rule of others.rules) {
    if (!met.has(nameIn(rule, rule.chain))) continue;
    yield;
    const unsteady = yield* unsteadyExpression(rule, unsteadySet);
    if (unsteady === undefined) continue;
    return `${familyName(rule.family)} table ${rule.table}, chain ${rule.chain}: ${unsteady}`;
  }
  return undefined;
}

/** What a set does that is unsteady by what it holds. */
export const changes = "changes by itself";

/** NFT_SET_TIMEOUT, _EVAL, _OBJECT, _EXPR: elements that expire, that packets add, that count or limit. */
const unsteadyFlags = 0x10 | 0x20 | 0x40 | 0x100;

function nameIn({ family, table }: TableName, name: string): string {
  return `${family} ${table} ${name}`;
}

function familyName(family: number): string {
  return Object.entries(nftFamilies).find(([, number]) => number === family)?.[0] ?? `${family}`;
}

/** Names of the chains that a forwarded packet meets, or may meet. */
function chainsOnTheWay(
  { chains, rules }: RulesOfOthers,
  sets: ReadonlyMap<string, DeclaredSet>,
): ReadonlySet<string> {
  const rulesOf = Map.groupBy(rules, (rule) => nameIn(rule, rule.chain));
  // A set goes on to what is added while it is gone through.
  const met = new Set(chains.filter(isOnTheWay).map((chain) => nameIn(chain, chain.name)));
  for (const chain of met) {
    for (const rule of rulesOf.get(chain) ?? []) {
      for (const each of rule.expressions) {
        for (const next of chainsAfter(rule, each, chains, sets)) met.add(next);
      }
    }
  }
  return met;
}

/** Hooks of `local_in` and `local_out`; what others there may be is taken for one on the way. */
const elsewhere = [1, 3];
const NF_INET_INGRESS = 5;

function isOnTheWay({ family, hook }: Chain): boolean {
  const { inet, ip, ip6 } = nftFamilies;
  if (hook === undefined || !([inet, ip, ip6] as number[]).includes(family)) return false;
  return !elsewhere.includes(hook.number) && !(family === inet && hook.number === NF_INET_INGRESS);
}

/** A map of verdicts may lead to any chain of the table that has no hook. */
function chainsAfter(
  rule: Rule,
  { name, attributes }: Expression,
  chains: readonly Chain[],
  sets: ReadonlyMap<string, DeclaredSet>,
): readonly string[] {
  if (name === "immediate") {
    const verdict = attributes.nested(2 /* NFTA_IMMEDIATE_DATA */)?.nested(2 /* …VERDICT */);
    const chain = verdict?.text(2 /* NFTA_VERDICT_CHAIN */);
    return chain === undefined ? [] : [nameIn(rule, chain)];
  }
  if (name !== "lookup" || sets.get(setOf(rule, attributes))?.hasVerdicts === false) return [];
  return chains
    .filter((each) => each.hook === undefined && nameIn(each, "") === nameIn(rule, ""))
    .map((each) => nameIn(each, each.name));
}

function setOf(rule: Rule, lookup: Attributes): string {
  return nameIn(rule, lookup.text(1 /* NFTA_LOOKUP_SET */) ?? "");
}

function* unsteadyExpression(
  rule: Rule,
  unsteadySet: (name: string) => InParts<string | undefined>,
): InParts<string | undefined> {
  let version = versions.find(({ family }) => family === rule.family);
  let before: Expression | undefined;
  for (const each of rule.expressions) {
    const { name, attributes } = each;
    if (name === "lookup") {
      const why = yield* unsteadySet(setOf(rule, attributes));
      if (why !== undefined) return `set ${attributes.text(1)}, which ${why}`;
    } else if (name === "payload") {
      if (!isOfOpening(attributes, version)) return "payload";
    } else if (steady.get(name)?.(attributes) !== true) {
      return [name, attributesName(name, attributes)].filter((word) => word !== "").join(" ");
    }
    version = before === undefined ? version : (versionAfter(before, each) ?? version);
    before = each;
  }
  return undefined;
}

/** iptables' own extensions are all of two names. */
function attributesName(name: string, attributes: Attributes): string {
  return name === "match" || name === "target" ? (attributes.text(1) ?? "") : "";
}

const always = () => true;
const named = (names: readonly string[]) => (attributes: Attributes) =>
  names.includes(attributes.text(1 /* NFTA_MATCH_NAME, NFTA_TARGET_NAME */) ?? "");
/** Of `meta` and `ct`: what is read, and not written. */
const reads = (keys: readonly number[], written: number) => (attributes: Attributes) =>
  attributes.raw(written) === undefined && keys.includes(attributes.u32be(2) ?? -1);

const steady: ReadonlyMap<string, (attributes: Attributes) => boolean> = new Map([
  ...["bitwise", "byteorder", "cmp", "range", "immediate", "counter"].map(
    (name) => [name, always] as const,
  ),
  ...["reject", "notrack", "nat", "masq", "redir"].map((name) => [name, always] as const),
  // Protocols; links by index, name and type.
  ["meta", reads([1, 15, 16, 4, 5, 6, 7, 8, 9], 3 /* NFTA_META_SREG */)],
  // State, direction, status, protocols, addresses; of a new connection they are what its first packet says.
  ["ct", reads([0, 1, 2, 7, 8, 9, 10, 19, 20, 21, 22], 4 /* NFTA_CT_SREG */)],
  ["objref", (attributes) => attributes.u32be(1 /* NFTA_OBJREF_IMM_TYPE */) === 1 /* a counter */],
  ["match", named(["comment"])],
  ["target", named(["MASQUERADE", "SNAT", "DNAT", "REDIRECT", "REJECT"])],
]);

/** What of its header an IP version has in the key: protocol and addresses, as first and last byte. */
interface Version {
  readonly family: number;
  /** How rules ask for it: by `meta nfproto` and `meta protocol`. */
  readonly asked: readonly string[];
  readonly parts: readonly (readonly [first: number, last: number])[];
}

const versions: readonly Version[] = [
  { family: nftFamilies.ip, asked: ["2", "8,0"], parts: [[9, 9], [12, 19]] }, // biome-ignore format: a table
  { family: nftFamilies.ip6, asked: ["10", "134,221"], parts: [[6, 6], [8, 39]] }, // biome-ignore format: a table
];
const destinationPort: Version["parts"] = [[2, 3]];

/** What a rule knows of the version after it has compared. */
function versionAfter(load: Expression, comparison: Expression): Version | undefined {
  if (load.name !== "meta" || comparison.name !== "cmp") return undefined;
  const isEqual = comparison.attributes.u32be(2 /* NFTA_CMP_OP */) === 0;
  const value = comparison.attributes.nested(3 /* NFTA_CMP_DATA */)?.raw(1 /* NFTA_DATA_VALUE */);
  if (!isEqual || ![1, 15].includes(load.attributes.u32be(2) ?? -1)) return undefined;
  return versions.find(({ asked }) => asked.includes(`${value}`));
}

/** A part of the packet that all openings like one have in common. */
function isOfOpening(payload: Attributes, version: Version | undefined): boolean {
  const [base, first, bytes] = [2, 3, 4].map((attribute) => payload.u32be(attribute) ?? -1);
  if (base === undefined || first === undefined || bytes === undefined || bytes < 1) return false;
  if (payload.raw(5 /* NFTA_PAYLOAD_SREG */) !== undefined) return false;
  const parts = base === 1 ? version?.parts : base === 2 ? destinationPort : undefined;
  return parts?.some((part) => part[0] <= first && first + bytes - 1 <= part[1]) === true;
}
