/**
 * The node's table as this driver left it, and whether it still is so.
 *
 * The kernel numbers the transactions of a namespace, everybody's together. While the number is the one that our last
 * transaction led to, the table is what that transaction made it, and nothing has to be read.
 *
 * The same number is what the table stamps new connections with, for the fast path: each transaction brings the number that
 * it will have. Where somebody comes in between, or has changed nftables since, the stamp is nobody's number, no verdict is
 * remembered, and the next look renews it (bpf/verdicts.h). So it is while others have rules that each packet must be asked
 * by (steady-rules.ts): nothing that happens without a transaction may end a verdict.
 */

import { atOnce, type InParts } from "../base/parts.ts";
import { nftTable, rulesStamp, stampRule } from "../model/names.ts";
import type { Ruleset, Step } from "../model/node-state.ts";
import { decodeRulesGeneration, getRulesGeneration } from "../wire/netlink/nftables.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import type { NftContext } from "./nftables.ts";
import { whyOpeningsAreAsked } from "./others-rules.ts";
import { observeRuleset } from "./ruleset-observe.ts";

export interface Stamping {
  /** What asks at each opening beside nftables, whose changes have no number: legacy iptables' tables. */
  readonly legacy: () => string | undefined;
}

export class OwnTable {
  readonly #nft: NftContext;
  readonly #netfilter: NetlinkSocket;
  readonly #stamping: Stamping | undefined;
  #known:
    | { readonly ruleset: Ruleset; readonly generation: number; readonly isSteady: boolean }
    | undefined;
  /** As the rules of that number have it. */
  #others: { readonly generation: number; readonly asked: string | undefined } | undefined;

  /** With `stamping` new connections are to carry the number of the rules. */
  constructor(nft: NftContext, netfilter: NetlinkSocket, stamping: Stamping | undefined) {
    this.#stamping = stamping;
    this.#nft = nft;
    this.#netfilter = netfilter;
  }

  /** Which of others' rules has every opening asked about; undefined where none is known to. */
  get whyAsked(): string | undefined {
    return this.#stamping?.legacy() ?? this.#others?.asked;
  }

  /** Commits a transaction. */
  change({ text, leadsTo, isWhole }: Extract<Step, { kind: "nft" }>): void {
    const before = this.#generation();
    const isBased = isWhole === true || this.#known?.generation === before;
    const isSteady = this.#isSteadyAt(before);
    this.#known = undefined;
    this.#nft.run(`${text}${this.#stampAfter(isSteady ? before : undefined, leadsTo)}`);
    const after = this.#generation();
    // Anything but one step on is somebody who came in between.
    if (before === undefined || after !== before + 1) return;
    if (this.#others?.generation === before) this.#others = { ...this.#others, generation: after };
    if (!isBased || leadsTo === undefined) return;
    this.#known = { ruleset: leadsTo, generation: after, isSteady };
  }

  /** How far the table is `expected`; undefined where there is none. */
  observe(expected: Ruleset): Ruleset | undefined {
    const generation = this.#generation();
    if (generation !== undefined && this.#known?.generation === generation) {
      const { ruleset, isSteady } = this.#known;
      atOnce(this.#readOthers(this.#netfilter, generation));
      if (isSteady !== this.#isSteadyAt(generation)) this.#renewStamp(ruleset, generation);
      return ruleset;
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
    if (generation !== undefined) yield* this.#readOthers(socket, generation);
    // Dumps are no snapshot: what changed meanwhile is looked at again next time.
    const isStill = generation !== undefined && generation === this.#generation();
    this.#known = undefined;
    if (!isStill) this.#others = undefined;
    else if (ruleset !== undefined) this.#renewStamp(ruleset, generation);
    return ruleset;
  }

  *#readOthers(socket: NetlinkSocket, generation: number): InParts<void> {
    if (this.#stamping === undefined) return;
    const isKnown = this.#others?.generation === generation;
    const asked = isKnown ? this.#others?.asked : yield* whyOpeningsAreAsked(socket);
    this.#others = { generation, asked };
  }

  /** Nothing is committed where the stamp is right: an agent that starts anew changes nothing. */
  #renewStamp(ruleset: Ruleset, generation: number): void {
    const isSteady = this.#isSteadyAt(generation);
    this.#known = { ruleset, generation, isSteady };
    if (this.#stampAfter(generation, ruleset) === "") return;
    const isStamped = this.#nft.list(ruleset.table)?.includes(stampRule(generation)) === true;
    if (isSteady !== isStamped) this.change({ kind: "nft", text: "", leadsTo: ruleset });
  }

  /** Whether openings can be remembered under the rules of that number. */
  #isSteadyAt(generation: number | undefined): boolean {
    const others = this.#others;
    if (generation === undefined || others?.generation !== generation) return false;
    return others.asked === undefined && this.#stamping?.legacy() === undefined;
  }

  /** What a transaction that follows `before` writes into the chain of the stamp; nothing where it has none. */
  #stampAfter(before: number | undefined, leadsTo: Ruleset | undefined): string {
    const hasChain = leadsTo?.chains.some(({ name }) => name === rulesStamp.chain);
    if (this.#stamping === undefined || hasChain !== true) return "";
    const chain = `inet ${leadsTo?.table} ${rulesStamp.chain}`;
    const number = before === undefined ? 0 : before + 1;
    return `flush chain ${chain}\nadd rule ${chain} ${stampRule(number)}\n`;
  }

  #generation(): number | undefined {
    return this.#netfilter.get(getRulesGeneration(), decodeRulesGeneration);
  }
}
