/**
 * nft's listing of a table as chains and rules: what `nft list table` prints, as far as drops depend on it.
 *
 * A listing has one thing a line: a chain is indented by one tab, its rules by two. A rule is read word by word; words
 * that say nothing about which packets are meant (counters, logs, comments) are passed over, those that are not known
 * make the rule's condition `unknown`, so that nobody takes a rule for more general than it is. Rules of iptables on
 * nftables come in the same words, since the library translates them.
 */

import type { Condition, ForeignChain, ForeignRule } from "../../model/foreign-rules.ts";
import { readCondition, readVerdict } from "./rule-words.ts";

/** Chains of one table. What is neither a chain nor a rule (sets, maps, counters) is left out. */
export function parseTable(listing: string): readonly ForeignChain[] {
  const [, family = "", table = ""] = /^table (\S+) (\S+) \{/m.exec(listing) ?? [];
  const chains: { name: string; head?: string; rules: ForeignRule[] }[] = [];
  let open: (typeof chains)[number] | undefined;
  for (const line of listing.split("\n")) {
    const name = /^\tchain (\S+) \{/.exec(line)?.[1];
    if (name !== undefined) {
      open = { name, rules: [] };
      chains.push(open);
    } else if (line.startsWith("\t}")) {
      open = undefined;
    } else if (open !== undefined && line.startsWith("\t\t")) {
      const text = line.trim();
      if (/^type \S+ hook /.test(text)) open.head = text;
      else if (!/^(comment |policy )/.test(text)) open.rules.push(parseRule(text));
    }
  }
  const tool = isIptables(family, table, chains) ? "iptables" : "nft";
  return chains.map(({ name, head, rules }) => {
    const base = head === undefined ? undefined : parseHead(head);
    return { tool, family, table, name, ...(base === undefined ? {} : { base }), rules };
  });
}

/** The names of tables, as `list tables` prints them: `inet filter` and the like. */
export function parseTableNames(listing: string): readonly string[] {
  return [...listing.matchAll(/^table (\S+ \S+)$/gm)].flatMap((match) => match[1] ?? []);
}

function parseHead(text: string): NonNullable<ForeignChain["base"]> | undefined {
  const [, type = "", hook = ""] = /^type (\S+) hook (\S+)/.exec(text) ?? [];
  if (hook === "") return undefined;
  const device = /device "?([^"\s;]+)"?/.exec(text)?.[1];
  const policy = /policy drop/.test(text) ? "drop" : "accept";
  return { type, hook, policy, ...(device === undefined ? {} : { device }) };
}

/** iptables makes its tables and chains by fixed names, and undoes what others change in them by their own tools. */
function isIptables(
  family: string,
  table: string,
  chains: readonly { readonly name: string; readonly head?: string }[],
): boolean {
  const usual = ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"];
  return (
    (family === "ip" || family === "ip6") &&
    ["filter", "nat", "mangle", "raw", "security"].includes(table) &&
    chains.filter(({ head }) => head !== undefined).every(({ name }) => usual.includes(name))
  );
}

export function parseRule(text: string): ForeignRule {
  let rest = text;
  const conditions: Condition[] = [];
  for (;;) {
    const verdict = readVerdict(rest);
    if (verdict !== undefined) return { conditions, verdict, text };
    const read = readCondition(rest);
    conditions.push(...read.conditions);
    if (read.rest === "") return { conditions, verdict: { kind: "continue" }, text };
    rest = read.rest;
  }
}
