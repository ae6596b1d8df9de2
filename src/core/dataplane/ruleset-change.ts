/**
 * The difference of two rulesets as the text of one nft transaction: what an ADD costs is what it adds.
 *
 * Order inside the transaction follows references: new chains, sets and maps first (empty), then rules, then elements
 * (old ones go before new ones come, since a key may change its value), last what nothing refers to any more. Sets of
 * intervals that changed are emptied and filled: they are small, and nft compares ranges with those it is about to
 * delete. A changed declaration (type, flags, hook) has everything made anew, still in one transaction, but for maps
 * that packets fill and whose own declaration stayed: what they remember is nobody's to make again.
 */

import { middles } from "../../base/middles.ts";
import type { NftChain, NftMap, NftPart, NftSet, Ruleset } from "../../model/node-state.ts";
import { elementsOf, renderRuleset, renderTable } from "../../model/ruleset-text.ts";

/** Undefined where both are equal. */
export function renderRulesetChange(before: Ruleset, after: Ruleset): string | undefined {
  if (before === after) return undefined;
  const chains = match(before.chains, after.chains);
  const sets = match(before.sets, after.sets);
  const maps = match(before.maps, after.maps);
  const redeclared =
    chains.kept.some(({ old, now }) => old.hook !== now.hook) ||
    [...sets.kept, ...maps.kept].some(({ old, now }) => declaration(old) !== declaration(now));
  if (before.table !== after.table) return renderRuleset(after);
  const table = `inet ${after.table}`;
  if (redeclared) return renderRebuild(before, after);
  const differing = differingParts();
  const rewritten = chains.kept.filter(({ old, now }) => !sameRules(old, now));
  const lines = [
    ...chains.added.map((chain) => `add chain ${table} ${chain.name}${hookOf(chain)}`),
    ...sets.added.map((set) => `add set ${table} ${set.name} ${declaration(set)}`),
    ...maps.added.map((map) => `add map ${table} ${map.name} ${declaration(map)}`),
    ...chains.removed.map((chain) => `flush chain ${table} ${chain.name}`),
    ...rewritten.map(({ now }) => `flush chain ${table} ${now.name}`),
    ...[...rewritten.map(({ now }) => now), ...chains.added].flatMap((chain) =>
      chain.rules.map((rule) => `add rule ${table} ${chain.name} ${rule}`),
    ),
    ...maps.kept.flatMap(({ old, now }) => mapChange(table, old, now, differing)),
    ...maps.added.flatMap((map) =>
      mapChange(table, { ...map, elements: nothing, parts: [] }, map, differing),
    ),
    ...sets.kept.flatMap(({ old, now }) => setChange(table, old, now)),
    ...sets.added.flatMap((set) => elements("add", table, set.name, set.elements)),
    ...maps.removed.map((map) => `delete map ${table} ${map.name}`),
    ...chains.removed.map((chain) => `delete chain ${table} ${chain.name}`),
    ...sets.removed.map((set) => `delete set ${table} ${set.name}`),
  ];
  return lines.length === 0 ? undefined : `${lines.join("\n")}\n`;
}

/** Rules go first, then elements (some name chains), then what held them. */
function renderRebuild(before: Ruleset, after: Ruleset): string {
  const table = `inet ${after.table}`;
  const wanted = new Map(after.maps.map((map) => [map.name, declaration(map)]));
  const maps = before.maps.filter(
    (map) => !isFilledByPackets(map) || wanted.get(map.name) !== declaration(map),
  );
  const lines = [
    `flush table ${table}`,
    ...maps.flatMap(({ name }) => [`flush map ${table} ${name}`, `delete map ${table} ${name}`]),
    ...before.sets.map(({ name }) => `delete set ${table} ${name}`),
    ...before.chains.map(({ name }) => `delete chain ${table} ${name}`),
  ];
  return `${lines.join("\n")}\n${renderTable(after)}`;
}

function isFilledByPackets(map: NftMap): boolean {
  return map.flags?.includes("dynamic") === true;
}

interface Matched<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
  readonly kept: readonly { readonly old: T; readonly now: T }[];
}

function match<T extends { readonly name: string }>(
  before: readonly T[],
  after: readonly T[],
): Matched<T> {
  const olds = new Map(before.map((each) => [each.name, each]));
  const added: T[] = [];
  const kept: { readonly old: T; readonly now: T }[] = [];
  for (const now of after) {
    const old = olds.get(now.name);
    if (old === undefined) added.push(now);
    else if (old !== now) kept.push({ old, now });
    olds.delete(now.name);
  }
  return { added, removed: [...olds.values()], kept };
}

function sameRules(old: NftChain, now: NftChain): boolean {
  return (
    old.rules.length === now.rules.length &&
    old.rules.every((rule, index) => rule === now.rules[index])
  );
}

function setChange(table: string, old: NftSet, now: NftSet): readonly string[] {
  if (old.elements === now.elements) return [];
  const before = new Set(old.elements);
  const after = new Set(now.elements);
  const removed = old.elements.filter((element) => !after.has(element));
  const added = now.elements.filter((element) => !before.has(element));
  if (removed.length + added.length === 0) return [];
  if (removed.length > 0 && now.flags?.includes("interval") === true) {
    return [`flush set ${table} ${now.name}`, ...elements("add", table, now.name, now.elements)];
  }
  return [
    ...elements("delete", table, now.name, removed),
    ...elements("add", table, now.name, added),
  ];
}

function mapChange(
  table: string,
  old: NftMap,
  now: NftMap,
  differing: DifferingParts,
): readonly string[] {
  const [gone, come] = differing(old.parts ?? [], now.parts ?? []);
  const isSame = old.elements === now.elements;
  const before = joined({ ...old, elements: isSame ? nothing : old.elements, parts: gone });
  const after = joined({ ...now, elements: isSame ? nothing : now.elements, parts: come });
  const removed = entries(before, (key, value) => after.get(key) !== value);
  const added = entries(after, (key, value) => before.get(key) !== value);
  return [
    ...elements("delete", table, now.name, removed),
    ...elements("add", table, now.name, added),
  ];
}

function joined(map: NftMap): ReadonlyMap<string, string> {
  const [first = nothing, ...more] = elementsOf(map);
  return more.length === 0 ? first : new Map([first, ...more].flatMap((some) => [...some]));
}

type DifferingParts = (
  a: readonly NftPart[],
  b: readonly NftPart[],
) => readonly [readonly NftPart[], readonly NftPart[]];

/**
 * Both lists without what they have in common at the beginning and at the end, and without the parts that both have
 * between. Maps share their lists, so the last answer is usually the next one as well.
 */
function differingParts(): DifferingParts {
  let last:
    | { readonly of: readonly unknown[]; readonly answer: ReturnType<DifferingParts> }
    | undefined;
  return (a, b) => {
    if (last?.of[0] === a && last.of[1] === b) return last.answer;
    const [own, others] = middles(a, b);
    const without = (list: readonly NftPart[], known: ReadonlySet<NftPart>) =>
      list.filter((part) => !known.has(part));
    const answer = [without(own, new Set(others)), without(others, new Set(own))] as const;
    last = { of: [a, b], answer };
    return answer;
  };
}

const nothing: ReadonlyMap<string, string> = new Map();

function entries(
  map: ReadonlyMap<string, string>,
  differs: (key: string, value: string) => boolean,
): readonly string[] {
  const lines: string[] = [];
  for (const [key, value] of map) if (differs(key, value)) lines.push(`${key} : ${value}`);
  return lines;
}

function elements(
  verb: "add" | "delete",
  table: string,
  name: string,
  list: readonly string[],
): readonly string[] {
  return list.length === 0
    ? []
    : [`${verb} element ${table} ${name} {\n\t${list.join(",\n\t")}\n}`];
}

function hookOf(chain: NftChain): string {
  return chain.hook === undefined ? "" : ` { ${chain.hook} }`;
}

function declaration(collection: NftSet | NftMap): string {
  const flags = (collection.flags ?? []).join(", ");
  const size = "size" in collection ? ` size ${collection.size};` : "";
  return `{ ${collection.type};${size}${flags === "" ? "" : ` flags ${flags};`} }`;
}
