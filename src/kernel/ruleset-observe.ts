/**
 * How far the table in the kernel is a given ruleset: what a plan is made against after a restart, and whenever
 * somebody has changed nftables since this driver did.
 *
 * Rules are compared as nft lists them. nft has its own words for them, so the expected ones are put, without elements,
 * into a namespace that nobody is in, and listed from there. Elements are read by netlink and compared as the text that
 * the ruleset has for them. What packets fill is left out: it is nobody's to want.
 *
 * What is as expected is answered as the very same value, so the difference to it is found without looking; what is
 * there and differs in a declaration or rule is answered as something that equals nothing.
 */

import { atOnce, type InParts } from "../base/parts.ts";
import { stampRule } from "../model/names.ts";
import type { NftChain, NftMap, NftSet, Ruleset } from "../model/node-state.ts";
import { elementsOf, renderNewRuleset } from "../model/ruleset-text.ts";
import { type ElementShape, elementShape } from "../wire/netlink/nft-elements.ts";
import {
  type DumpedElement,
  decodeElements,
  dumpElements,
  rangesOf,
} from "../wire/netlink/nftables.ts";
import { ENOENT, SystemCallError } from "./ffi.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { inFreshNetns } from "./netns.ts";
import { NftContext } from "./nftables.ts";

/** The stamp is the driver's (own-table.ts); as wanted it has no number. */
const anyStamp = /ct mark set 0x[89a-f][0-9a-f]{7}\b/g;

/** Undefined where there is no such table. Nothing else may use the socket before the end. */
export function* observeRuleset(
  nft: NftContext,
  netfilter: NetlinkSocket,
  expected: Ruleset,
): InParts<Ruleset | undefined> {
  const listing = nft.list(expected.table);
  if (listing === undefined) return undefined;
  const there = blocksOf(listing.replaceAll(anyStamp, stampRule(0)));
  const wanted = blocksOf(listingOf(expected));
  const observe = function* <T extends NftSet | NftMap>(
    kind: "set" | "map",
    list: readonly T[],
    contents: (each: T) => InParts<T>,
    stranger: (name: string) => T,
  ): InParts<T[]> {
    const found: T[] = [];
    for (const each of list) {
      const block = there.get(`${kind} ${each.name}`);
      if (block === undefined) continue;
      const isDeclaredSo = block === wanted.get(`${kind} ${each.name}`);
      found.push(isDeclaredSo ? yield* contents(each) : stranger(each.name));
    }
    return [...found, ...others(kind, there, list).map(stranger)];
  };
  const observed: Ruleset = {
    table: expected.table,
    sets: yield* observe(
      "set",
      expected.sets,
      (set) => setContents(netfilter, expected.table, set),
      (name) => ({ name, type: unknown, elements: [] }),
    ),
    maps: yield* observe(
      "map",
      expected.maps,
      (map) => mapContents(netfilter, expected.table, map),
      (name) => ({ name, type: unknown, elements: new Map() }),
    ),
    chains: [
      ...expected.chains.flatMap((chain) => observedChain(chain, there, wanted)),
      ...others("chain", there, expected.chains).map((name) => ({ name, rules: [] })),
    ],
  };
  return isSame(observed, expected) ? expected : observed;
}

function isSame(observed: Ruleset, expected: Ruleset): boolean {
  return (["sets", "maps", "chains"] as const).every((part) => {
    const list = observed[part];
    return (
      list.length === expected[part].length &&
      list.every((each, index) => each === expected[part][index])
    );
  });
}

/** No declaration, hook or rule of ours. */
const unknown = "(not as expected)";

function observedChain(
  chain: NftChain,
  there: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
): readonly NftChain[] {
  const block = there.get(`chain ${chain.name}`);
  if (block === undefined) return [];
  const expected = wanted.get(`chain ${chain.name}`) ?? "";
  if (block === expected) return [chain];
  const isHookedSo = hookLine(block) === hookLine(expected);
  const hook = isHookedSo ? chain.hook : unknown;
  return [{ name: chain.name, ...(hook === undefined ? {} : { hook }), rules: [unknown] }];
}

function hookLine(block: string): string | undefined {
  return /^\t\ttype \S+ hook .*$/m.exec(block)?.[0];
}

function others(
  kind: string,
  there: ReadonlyMap<string, string>,
  expected: readonly { readonly name: string }[],
): readonly string[] {
  const known = new Set(expected.map(({ name }) => `${kind} ${name}`));
  return [...there.keys()]
    .filter((each) => each.startsWith(`${kind} `) && !known.has(each))
    .map((each) => each.slice(kind.length + 1));
}

/** The ruleset as nft lists it, without elements. */
function listingOf({ table, sets, maps, chains }: Ruleset): string {
  return inFreshNetns(() => {
    const scratch = new NftContext();
    try {
      const bare = {
        table,
        sets: sets.map((set) => ({ ...set, elements: [] })),
        maps: maps.map((map) => ({ ...map, elements: new Map(), parts: [] })),
        chains,
      };
      scratch.run(renderNewRuleset(bare));
      return scratch.list(table) ?? "";
    } finally {
      scratch.close();
    }
  });
}

/** `chain x`, `set y`, `map z` → what stands in its braces. Blocks of a table are indented by one tab. */
function blocksOf(listing: string): ReadonlyMap<string, string> {
  const blocks = new Map<string, string>();
  for (const [, name = "", body = ""] of listing.matchAll(
    /^\t((?:chain|set|map) \S+) \{\n([\s\S]*?)^\t\}$/gm,
  )) {
    blocks.set(name, body);
  }
  return blocks;
}

function* setContents(netfilter: NetlinkSocket, table: string, set: NftSet): InParts<NftSet> {
  const shape = elementShape(set.type, set.flags);
  if (shape === undefined) return { ...set, type: unknown };
  const dumped = yield* dump(netfilter, table, set.name, shape);
  const isBoundaries = shape.isInterval && shape.key.length === 1;
  const elements = isBoundaries ? rangesOf(dumped, shape) : dumped.map(({ key }) => key);
  const wanted = new Set(set.elements);
  const hasAll = wanted.size === elements.length && elements.every((each) => wanted.has(each));
  return hasAll ? set : { ...set, elements };
}

/** So many take a millisecond. */
const elementsInPart = 1024;

function* mapContents(netfilter: NetlinkSocket, table: string, map: NftMap): InParts<NftMap> {
  if (map.flags?.includes("dynamic") === true) return map; // packets fill it
  const { parts: _, ...declaration } = map;
  const shape = elementShape(map.type, map.flags);
  if (shape === undefined) return { ...map, type: unknown };
  const dumped = yield* dump(netfilter, table, map.name, shape);
  const elements = new Map<string, string>();
  for (const { key, value } of dumped) {
    elements.set(key, value);
    if (elements.size % elementsInPart === 0) yield;
  }
  let wanted = 0;
  let hasAll = true;
  for (const some of elementsOf(map)) {
    for (const [key, value] of some) {
      wanted += 1;
      hasAll &&= elements.get(key) === value;
      if (wanted % elementsInPart === 0) yield;
    }
  }
  return hasAll && wanted === elements.size ? map : { ...declaration, elements };
}

/**
 * What a set or map of the ruleset has in the kernel, none where it is not there; undefined where that cannot be read.
 */
export function keysIn(
  netfilter: NetlinkSocket,
  { table, sets, maps }: Ruleset,
  name: string,
): ReadonlySet<string> | undefined {
  const collection = [...sets, ...maps].find((each) => each.name === name);
  const shape = collection && elementShape(collection.type, collection.flags);
  if (shape === undefined) return undefined;
  try {
    return new Set(atOnce(dump(netfilter, table, name, shape)).map(({ key }) => key));
  } catch (error) {
    if (error instanceof SystemCallError && error.errno === ENOENT) return new Set();
    throw error;
  }
}

function* dump(
  netfilter: NetlinkSocket,
  table: string,
  name: string,
  shape: ElementShape,
): InParts<readonly DumpedElement[]> {
  const decode = (payload: Uint8Array, type: number) => decodeElements(payload, type, shape);
  return (yield* netfilter.dumpInParts(dumpElements(table, name), decode)).flat();
}
