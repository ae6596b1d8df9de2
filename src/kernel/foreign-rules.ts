/**
 * Reads the packet filter rules of others: every nftables table but ours, and the legacy tables of iptables.
 *
 * Reading happens beside the event loop: nft's listing on a thread of the pool, with a context of its own, legacy
 * tables by their own tool, and only where the kernel says that there are any, since asking for a table makes it.
 * What is too long to be judged in time is said by name and left out.
 */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { renderError } from "../base/error.ts";
import type { ForeignChain } from "../model/foreign-rules.ts";
import { nftTable } from "../model/names.ts";
import { parseSave } from "../wire/nft/iptables-save.ts";
import { parseTable, parseTableNames } from "../wire/nft/listing.ts";
import { NftContext } from "./nftables.ts";

export interface ForeignRules {
  readonly chains: readonly ForeignChain[];
  /** Tables that could not be read, and why. */
  readonly unread: readonly string[];
}

/** A host with kube-proxy's rules for 1 000 Services has some 2 MB. */
const longestListing = 8 * 1024 * 1024;
const toolMs = 2_000;

/** Of the network namespace of the calling thread. */
export async function readForeignRules(): Promise<ForeignRules> {
  const chains: ForeignChain[] = [];
  const unread: string[] = [];
  const context = new NftContext();
  try {
    const names = parseTableNames(await context.listInBackground("list tables"));
    for (const name of names) {
      if (name === `inet ${nftTable}`) continue;
      const listing = await context.listInBackground(`list table ${name}`);
      if (listing.length > longestListing) unread.push(`table ${name}: too long to be judged`);
      else chains.push(...parseTable(listing));
    }
  } catch (error) {
    unread.push(`tables of nftables: ${renderError(error)}`);
  } finally {
    context.close();
  }
  for (const [family, tool, file] of legacy) {
    if (readTableNames(file) === "") continue;
    try {
      chains.push(...parseSave(await output(tool), family));
    } catch (error) {
      unread.push(`legacy tables of ${family}: ${renderError(error)}`);
    }
  }
  return { chains, unread };
}

const legacy = [
  ["ip", "iptables-legacy-save", "ip_tables_names"],
  ["ip6", "ip6tables-legacy-save", "ip6_tables_names"],
] as const;

function readTableNames(file: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${file}`, "latin1").trim();
  } catch {
    return ""; // the kernel has none
  }
}

function output(tool: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const limits = { timeout: toolMs, maxBuffer: longestListing, encoding: "utf8" } as const;
    execFile(tool, limits, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
  });
}
