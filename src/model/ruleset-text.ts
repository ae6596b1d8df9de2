/**
 * Renders a whole ruleset as the text of one nft transaction that replaces the table.
 *
 * `add table` before `delete table` makes the deletion succeed whether the table is there or not; since all is one
 * transaction, no packet ever sees the table missing. Sets and maps come before chains for the reader's sake; nft
 * expands a table block into chains, then sets, then rules and elements, so a verdict map may name chains that stand
 * below it and chains may jump forward. One line for each rule and element: a diff of two texts is the review.
 *
 * Where the table is known to be absent, `renderNewRuleset` leaves the deletion out: a deletion, even of nothing, has
 * the kernel wait for packets in flight before the socket can be closed (15 ms, in every pod's start).
 *
 * Not here: the difference of two rulesets as a smaller transaction (core/dataplane), and running it (kernel).
 */

import type { NftChain, NftMap, NftSet, Ruleset } from "./node-state.ts";

/** The transaction that makes table `inet <ruleset.table>` exactly this, whatever was in it before. */
export function renderRuleset(ruleset: Ruleset): string {
  return renderRulesetRemoval(ruleset.table) + renderTable(ruleset);
}

/** The transaction that makes the table, and fails where there is one of that name. */
export function renderNewRuleset(ruleset: Ruleset): string {
  return `create table inet ${ruleset.table}\n${renderTable(ruleset)}`;
}

/** The transaction that leaves no table of that name. */
export function renderRulesetRemoval(table: string): string {
  return `add table inet ${table}\ndelete table inet ${table}\n`;
}

/** The table's block: adds to what is there. */
export function renderTable(ruleset: Ruleset): string {
  const blocks = [
    ...ruleset.sets.map(renderSet),
    ...ruleset.maps.map(renderMap),
    ...ruleset.chains.map(renderChain),
  ];
  return `table inet ${ruleset.table} {\n${blocks.join("\n")}\n}\n`;
}

function renderSet(set: NftSet): string {
  return renderCollection("set", set, set.elements);
}

function renderMap(map: NftMap): string {
  const elements = elementsOf(map).flatMap((some) =>
    Array.from(some, ([key, value]) => `${key} : ${value}`),
  );
  return renderCollection("map", map, elements);
}

/** All elements of a map, in as many tables as it has parts with some; keys are not repeated. */
export function elementsOf({ name, elements, parts = [] }: NftMap): ReadonlyMap<string, string>[] {
  const tables = elements.size === 0 ? [] : [elements];
  for (const part of parts) {
    const own = part.elements.get(name);
    if (own !== undefined) tables.push(own);
  }
  return tables;
}

function renderCollection(
  keyword: "set" | "map",
  collection: NftSet | NftMap,
  elements: readonly string[],
): string {
  const lines = [`\t${keyword} ${collection.name} {`, `\t\t${collection.type}`];
  if ("size" in collection) lines.push(`\t\tsize ${collection.size}`);
  if (collection.flags !== undefined && collection.flags.length > 0) {
    lines.push(`\t\tflags ${collection.flags.join(", ")}`);
  }
  // nft refuses an empty pair of braces.
  if (elements.length > 0)
    lines.push(`\t\telements = {\n\t\t\t${elements.join(",\n\t\t\t")}\n\t\t}`);
  lines.push("\t}");
  return lines.join("\n");
}

function renderChain(chain: NftChain): string {
  const lines = [`\tchain ${chain.name} {`];
  if (chain.hook !== undefined) lines.push(`\t\t${chain.hook}`);
  for (const rule of chain.rules) lines.push(`\t\t${rule}`);
  lines.push("\t}");
  return lines.join("\n");
}
