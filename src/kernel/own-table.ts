/**
 * The node's table as this driver left it, and whether it still is so.
 *
 * The kernel numbers the transactions of a namespace, everybody's together. While the number is the one that our last
 * transaction led to, the table is what that transaction made it, and nothing has to be read.
 */

import { atOnce, type InParts } from "../base/parts.ts";
import { nftTable } from "../model/names.ts";
import type { Ruleset, Step } from "../model/node-state.ts";
import { decodeRulesGeneration, getRulesGeneration } from "../wire/netlink/nftables.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import type { NftContext } from "./nftables.ts";
import { observeRuleset } from "./ruleset-observe.ts";

export class OwnTable {
  readonly #nft: NftContext;
  readonly #netfilter: NetlinkSocket;
  #known: { readonly ruleset: Ruleset; readonly generation: number } | undefined;

  constructor(nft: NftContext, netfilter: NetlinkSocket) {
    this.#nft = nft;
    this.#netfilter = netfilter;
  }

  /** Commits a transaction. */
  change({ text, leadsTo, isWhole }: Extract<Step, { kind: "nft" }>): void {
    const before = this.#generation();
    const isBased = isWhole === true || this.#known?.generation === before;
    this.#known = undefined;
    this.#nft.run(text);
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
    return ruleset;
  }

  #generation(): number | undefined {
    return this.#netfilter.get(getRulesGeneration(), decodeRulesGeneration);
  }
}
