/**
 * Nfnetlink's nf_tables as everybody's rules: chains with their hooks, sets with their flags, rules as the expressions
 * that the kernel evaluates.
 *
 * A listing by nft is for people: it has other words for the same thing, and none for some. Expressions are what there
 * is, by name, so that whoever judges rules knows what he does not know.
 */

import { Attributes, attributeList, concat, text } from "./attributes.ts";
import { latin1, malformed, type NetlinkRequest, NLM_F_DUMP } from "./message.ts";

const NFNL_SUBSYS_NFTABLES = 10;
const message = (number: number) => (NFNL_SUBSYS_NFTABLES << 8) | number;
const NFT_MSG_NEWCHAIN = message(3);
const NFT_MSG_GETCHAIN = message(4);
const NFT_MSG_NEWRULE = message(6);
const NFT_MSG_GETRULE = message(7);
const NFT_MSG_NEWSET = message(9);
const NFT_MSG_GETSET = message(10);
const NFT_MSG_NEWSETELEM = message(12);
const NFT_MSG_GETSETELEM = message(13);

/** What a chain, set or rule is part of; `family` is the kernel's number. */
export interface TableName {
  readonly family: number;
  readonly table: string;
}

export const nftFamilies = { inet: 1, ip: 2, netdev: 5, ip6: 10 } as const;

export interface Chain extends TableName {
  readonly name: string;
  /** Absent in a chain that others jump to. */
  readonly hook?: {
    readonly number: number;
    /** `filter`, `nat`, `route`. */
    readonly type: string;
    /** It lets everything pass: there is no rule in it, and its policy is to accept. */
    readonly isEmpty: boolean;
    /** Of chains that hang on links: their names; one that ends in `*` stands for all that begin so. */
    readonly devices: readonly string[];
  };
}

export interface DeclaredSet extends TableName {
  readonly name: string;
  readonly flags: number;
  /** Its elements lead to chains, or give other verdicts. */
  readonly hasVerdicts: boolean;
}

export interface Rule extends TableName {
  readonly chain: string;
  readonly expressions: readonly Expression[];
}

export interface Expression {
  readonly name: string;
  /** As the kernel numbers them for an expression of that name. */
  readonly attributes: Attributes;
}

const headBytes = 4;
const NFTA_LIST_ELEM = 1;

/** Of one family, or without one of all. */
export function dumpChains(family = 0): NetlinkRequest {
  return request(NFT_MSG_GETCHAIN, { family, table: "" });
}

export function dumpSets(): NetlinkRequest {
  return request(NFT_MSG_GETSET, { family: 0, table: "" });
}

export function dumpRules(of: TableName): NetlinkRequest {
  return request(NFT_MSG_GETRULE, of);
}

const NFTA_SET_ELEM_LIST_SET = 2;

/** What `decodeElementKinds` reads. */
export function dumpElementKinds({ family, table, name }: DeclaredSet): NetlinkRequest {
  return request(NFT_MSG_GETSETELEM, { family, table }, text(NFTA_SET_ELEM_LIST_SET, name));
}

/** The table's name is the first attribute of all of them. */
function request(type: number, of: TableName, ...more: readonly Uint8Array[]): NetlinkRequest {
  const table = of.table === "" ? [] : [text(1, of.table)];
  return {
    type,
    flags: NLM_F_DUMP,
    payload: concat(Uint8Array.of(of.family, 0, 0, 0), ...table, ...more),
  };
}

/** Undefined for another message, as all that follow. */
export function decodeChain(payload: Uint8Array, type: number): Chain | undefined {
  if (type !== NFT_MSG_NEWCHAIN) return undefined;
  const chain = new Attributes(payload, headBytes);
  const hook = chain.nested(4 /* NFTA_CHAIN_HOOK */);
  return {
    ...nameOf(chain, payload),
    name: required(chain.text(3 /* NFTA_CHAIN_NAME */), "name of a chain"),
    ...(hook === undefined ? {} : { hook: hookOf(hook, chain) }),
  };
}

const NF_ACCEPT = 1;

function hookOf(hook: Attributes, chain: Attributes): NonNullable<Chain["hook"]> {
  const one = hook.text(3 /* NFTA_HOOK_DEV */);
  const many = attributeList(hook.raw(4 /* NFTA_HOOK_DEVS */) ?? new Uint8Array());
  return {
    number: required(hook.u32be(1 /* NFTA_HOOK_HOOKNUM */), "hook of a chain"),
    type: chain.text(7 /* NFTA_CHAIN_TYPE */) ?? "",
    isEmpty:
      chain.u32be(6 /* NFTA_CHAIN_USE */) === 0 &&
      chain.u32be(5 /* NFTA_CHAIN_POLICY */) === NF_ACCEPT,
    devices: [
      ...(one === undefined ? [] : [one]),
      // NFTA_DEVICE_NAME, or NFTA_DEVICE_PREFIX.
      ...many.map(({ type, value }) => (type === 1 ? latin1(value) : `${latin1(value)}*`)),
    ],
  };
}

const NFT_DATA_VERDICT = 0xffff_ff00;

export function decodeSet(payload: Uint8Array, type: number): DeclaredSet | undefined {
  if (type !== NFT_MSG_NEWSET) return undefined;
  const set = new Attributes(payload, headBytes);
  return {
    ...nameOf(set, payload),
    name: required(set.text(2 /* NFTA_SET_NAME */), "name of a set"),
    flags: set.u32be(3 /* NFTA_SET_FLAGS */) ?? 0,
    hasVerdicts: set.u32be(6 /* NFTA_SET_DATA_TYPE */) === NFT_DATA_VERDICT,
  };
}

export function decodeRule(payload: Uint8Array, type: number): Rule | undefined {
  if (type !== NFT_MSG_NEWRULE) return undefined;
  // A copy, since rules are kept when the next datagram comes.
  const rule = new Attributes(payload.slice(), headBytes);
  const expressions = attributeList(rule.raw(4 /* NFTA_RULE_EXPRESSIONS */) ?? new Uint8Array());
  return {
    ...nameOf(rule, payload),
    chain: required(rule.text(2 /* NFTA_RULE_CHAIN */), "chain of a rule"),
    expressions: expressions.map(({ type: each, value }) => {
      const expression = new Attributes(value);
      if (each !== NFTA_LIST_ELEM) throw malformed(`expression of type ${each}`);
      return {
        name: required(expression.text(1 /* NFTA_EXPR_NAME */), "name of an expression"),
        // Those without arguments, such as `notrack`, have no list of them.
        attributes: expression.nested(2 /* NFTA_EXPR_DATA */) ?? new Attributes(new Uint8Array()),
      };
    }),
  };
}

/** How many elements a message has, and whether one of them ends by itself, or counts what it lets through. */
export function decodeElementKinds(
  payload: Uint8Array,
  type: number,
): { readonly count: number; readonly hasState: boolean } | undefined {
  if (type !== NFT_MSG_NEWSETELEM) return undefined;
  const list = new Attributes(payload, headBytes).raw(3 /* NFTA_SET_ELEM_LIST_ELEMENTS */);
  const elements = attributeList(list ?? new Uint8Array());
  return {
    count: elements.length,
    hasState: elements.some(({ value }) => {
      const element = new Attributes(value);
      return stateOfElement.some((attribute) => element.raw(attribute) !== undefined);
    }),
  };
}

/** NFTA_SET_ELEM_TIMEOUT, _EXPIRATION, _EXPR, _OBJREF, _EXPRESSIONS. */
const stateOfElement = [4, 5, 7, 9, 11];

function nameOf(attributes: Attributes, payload: Uint8Array): TableName {
  return { family: payload[0] ?? 0, table: required(attributes.text(1), "name of a table") };
}

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw malformed(`no ${what}`);
  return value;
}
