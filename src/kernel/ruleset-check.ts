/**
 * Compares a ruleset with what is in force: by its chains, the number of rules in each, and single elements.
 *
 * Rules are counted, not compared: only Heddle writes into its table, and what happens to it in the field is that
 * somebody flushes it or deletes from it. What differs otherwise is found by the resync, which does compare
 * (ruleset-observe.ts); CHECK has to name what is gone of one pod, also in namespaces that no resync looks into.
 */

import type { NftElement, Ruleset } from "../model/node-state.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import type { NftContext } from "./nftables.ts";
import { keysIn } from "./ruleset-observe.ts";

/** What is missing, as sentences. */
export function missingOf(
  nft: NftContext,
  netfilter: NetlinkSocket,
  ruleset: Ruleset,
  elements: readonly NftElement[],
): readonly string[] {
  const listing = nft.list(ruleset.table);
  if (listing === undefined) return [`nftables table inet ${ruleset.table} is absent`];
  const there = countRules(listing);
  const rules = ruleset.chains.flatMap((chain) => {
    const found = there.get(chain.name);
    if (found === undefined) return [`nftables chain ${chain.name} is absent`];
    const wanted = chain.rules.length;
    return found === wanted
      ? []
      : [`nftables chain ${chain.name} has ${found} rules, want ${wanted}`];
  });
  const keys = [...Map.groupBy(elements, ({ collection }) => collection)].flatMap(
    ([name, wanted]) => {
      const found = keysIn(netfilter, ruleset, name);
      return wanted
        .filter(({ key }) => found?.has(key) === false)
        .map(({ key }) => `nftables element ${key} of ${name} is absent`);
    },
  );
  return [...rules, ...keys];
}

/** Chain → number of rules. nft indents a chain by one tab, a rule by two, what continues it by more. */
function countRules(listing: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  let chain: string | undefined;
  for (const line of listing.split("\n")) {
    const opened = /^\tchain (\S+) \{/.exec(line)?.[1];
    if (opened !== undefined) {
      chain = opened;
      counts.set(chain, 0);
    } else if (line.startsWith("\t}")) {
      chain = undefined;
    } else if (chain !== undefined && /^\t\t(?!\t|type \S+ hook |comment )/.test(line)) {
      counts.set(chain, (counts.get(chain) ?? 0) + 1);
    }
  }
  return counts;
}
