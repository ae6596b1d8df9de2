/**
 * The node's table as this driver left it, and whether it still is so.
 *
 * The kernel numbers the transactions of a namespace, everybody's together. While the number is the one that our last
 * transaction led to, the table is what that transaction made it, and nothing has to be read.
 *
 * The same number is what the table stamps new connections with, for the fast path: each transaction brings the number that
 * it will have. Where somebody comes in between, or has changed nftables since, the stamp is nobody's number, no verdict is
 * remembered, and the next look renews it (bpf/verdicts.h).
 */

import { atOnce, type InParts } from "../base/parts.ts";
import { nftTable, rulesStamp, stampRule } from "../model/names.ts";
import type { Ruleset, Step } from "../model/node-state.ts";
import { decodeRulesGeneration, getRulesGeneration } from "../wire/netlink/nftables.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import type { NftContext } from "./nftables.ts";
import { observeRuleset } from "./ruleset-observe.ts";

export class OwnTable {
  readonly #nft: NftContext;
  readonly #netfilter: NetlinkSocket;
  readonly #isStamped: boolean;
  #known: { readonly ruleset: Ruleset; readonly generation: number } | undefined;

  /** `isStamped`: new connections are to carry the number of the rules. */
  constructor(nft: NftContext, netfilter: NetlinkSocket, isStamped: boolean) {
    this.#isStamped = isStamped;
    this.#nft = nft;
    this.#netfilter = netfilter;
  }

  /** Commits a transaction. */
  change({ text, leadsTo, isWhole }: Extract<Step, { kind: "nft" }>): void {
    const before = this.#generation();
    const isBased = isWhole === true || this.#known?.generation === before;
    this.#known = undefined;
    this.#nft.run(`${text}${this.#stampAfter(before, leadsTo)}`);
    const after = this.#generation();
    // Anything but one step on is somebody who came in between.
    if (isBased && leadsTo !== undefined && before !== undefined && after === before + 1) {
      this.#known = { ruleset: leadsTo, generation: after };
    }
  }

  /** How far the table is `expected`; undefined where there is none. */
  observe(expected: Ruleset): Ruleset | undefined {
    const generation = this.#generation();
    if (this.#known !== undefined && this.#known.generation === generation) {
      return this.#known.ruleset;
    }
    return atOnce(this.#read(this.#netfilter, expected, generation));
  }

  get isThere(): boolean {
    return this.#nft.list(nftTable) !== undefined;
  }

  /** Reads the table, so that `observe` need not. The socket is the caller's, for this alone. */
  *read(socket: NetlinkSocket, expected: Ruleset): InParts<void> {
    yield* this.#read(socket, expected, this.#generation());
  }

  *#read(
    socket: NetlinkSocket,
    expected: Ruleset,
    generation: number | undefined,
  ): InParts<Ruleset | undefined> {
    const ruleset = yield* observeRuleset(this.#nft, socket, expected);
    // Dumps are no snapshot: what changed meanwhile is looked at again next time.
    const isStill = generation !== undefined && generation === this.#generation();
    this.#known = ruleset !== undefined && isStill ? { ruleset, generation } : undefined;
    if (ruleset !== undefined && isStill) this.#renewStamp(ruleset, generation);
    return ruleset;
  }

  /** Nothing is committed where the stamp is right: an agent that starts anew changes nothing. */
  #renewStamp(ruleset: Ruleset, generation: number): void {
    const stamp = this.#stampAfter(generation, ruleset);
    if (stamp === "" || this.#nft.list(ruleset.table)?.includes(stampRule(generation))) return;
    this.change({ kind: "nft", text: "", leadsTo: ruleset });
  }

  /** What a transaction that follows `before` writes into the chain of the stamp; nothing where it has none. */
  #stampAfter(before: number | undefined, leadsTo: Ruleset | undefined): string {
    const hasChain = leadsTo?.chains.some(({ name }) => name === rulesStamp.chain);
    if (!this.#isStamped || before === undefined || hasChain !== true) return "";
    const chain = `inet ${leadsTo?.table} ${rulesStamp.chain}`;
    return `flush chain ${chain}\nadd rule ${chain} ${stampRule(before + 1)}\n`;
  }

  #generation(): number | undefined {
    return this.#netfilter.get(getRulesGeneration(), decodeRulesGeneration);
  }
}
