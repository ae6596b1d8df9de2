/**
 * What others' packet filter rules mean for the fast path: whether openings may be remembered beside them, and which
 * links they have chains on.
 *
 * Read by netlink, and again only where the kernel's number of the rules has changed. What cannot be read counts as
 * rules of the kind that is asked at each packet, and so do legacy iptables' tables: their changes have no number, so
 * that a verdict would outlive them.
 */

import { readFileSync } from "node:fs";
import { renderError } from "../base/error.ts";
import type { InParts } from "../base/parts.ts";
import { nftTable } from "../model/names.ts";
import {
  type DeclaredSet,
  decodeChain,
  decodeElementKinds,
  decodeRule,
  decodeSet,
  dumpChains,
  dumpElementKinds,
  dumpRules,
  dumpSets,
  nftFamilies,
  type TableName,
} from "../wire/netlink/nft-rules.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { changes, unsteadyRule } from "./steady-rules.ts";

/** Of all sets together. Who has more, such as lists of addresses to block, has every opening asked about. */
const mostElements = 16_384;

/**
 * Why an opening must be asked about each time; undefined where once is enough, until the next change. `open` opens a
 * socket in the same namespace.
 */
export function* whyOpeningsAreAsked(
  socket: NetlinkSocket,
  open: () => NetlinkSocket,
): InParts<string | undefined> {
  try {
    const chains = (yield* socket.dumpInParts(dumpChains(), decodeChain)).filter(isOthers);
    const sets = (yield* socket.dumpInParts(dumpSets(), decodeSet)).filter(isOthers);
    const tables = new Map(chains.map((each) => [`${each.family} ${each.table}`, each]));
    const rules = [];
    for (const table of tables.values()) {
      rules.push(...(yield* socket.dumpInParts(dumpRules(table), decodeRule)));
    }
    return yield* unsteadyRule({ chains, sets, rules }, elementJudge(open));
  } catch (error) {
    return `others' rules cannot be read: ${renderError(error)}`;
  }
}

/**
 * Judges the elements of one set after another. Those beyond the limit are not even listed: each part of a list takes
 * the kernel longer than the one before, so that four hundred thousand elements cost seven seconds.
 */
function elementJudge(
  open: () => NetlinkSocket,
): (set: DeclaredSet) => InParts<string | undefined> {
  let count = 0;
  let haveState = false;
  const decode = (payload: Uint8Array, type: number) => {
    const read = decodeElementKinds(payload, type);
    count += read?.count ?? 0;
    haveState ||= read?.hasState === true;
    return undefined;
  };
  const why = () => {
    if (haveState) return changes;
    return count > mostElements ? "is too large to be looked through" : undefined;
  };
  return function* (set) {
    const socket = open(); // closing it is what ends a list early
    try {
      for (const _ of socket.dumpInParts(dumpElementKinds(set), decode)) {
        if (why() !== undefined) break;
        yield;
      }
      return why();
    } finally {
      socket.close();
    }
  };
}

export function isOthers({ family, table }: TableName): boolean {
  return family !== nftFamilies.inet || table !== nftTable;
}

/** The same of legacy iptables, in the thread's present namespace. */
export function whyLegacyAsks(): string | undefined {
  for (const file of ["ip_tables_names", "ip6_tables_names"]) {
    try {
      const names = readFileSync(`/proc/thread-self/net/${file}`, "latin1").trim();
      if (names !== "") return `legacy iptables has tables here: ${names.replaceAll("\n", ", ")}`;
    } catch {
      // The kernel has none.
    }
  }
  return undefined;
}

/** Whether a link has a chain of somebody's, at which every packet that it brings or takes is asked about. */
export function linksWithChains(socket: NetlinkSocket): (link: string) => boolean {
  const { inet, netdev } = nftFamilies;
  const devices = [netdev, inet].flatMap((family) =>
    socket.dump(dumpChains(family), decodeChain).flatMap(({ hook }) => hook?.devices ?? []),
  );
  const names = new Set(devices);
  const prefixes = devices.flatMap((each) => (each.endsWith("*") ? [each.slice(0, -1)] : []));
  return (link) => names.has(link) || prefixes.some((prefix) => link.startsWith(prefix));
}
