/**
 * The node's table as this driver left it, and whether it still is so.
 *
 * The kernel numbers the transactions of a namespace, everybody's together. While the number is the one that our last
 * transaction led to, or all since then are known to have left the table alone (table-watch.ts), the table is what that
 * transaction made it, and nothing of it has to be read.
 *
 * The same number is what the table stamps new connections with, for the fast path: each transaction brings the number
 * that it will have. Where somebody comes in between, or has changed nftables since, the stamp is nobody's number, no
 * verdict is remembered, and the next look renews it (bpf/verdicts.h). So it is while others have rules that each
 * packet must be asked by (steady-rules.ts): nothing that happens without a transaction may end a verdict.
 */

import { atOnce, type InParts } from "../base/parts.ts";
import { nftTable, rulesStamp, stampRule } from "../model/names.ts";
import type { Ruleset, Step } from "../model/node-state.ts";
import { decodeRulesGeneration, getRulesGeneration } from "../wire/netlink/nftables.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import type { NftContext } from "./nftables.ts";
import { whyOpeningsAreAsked } from "./others-rules.ts";
import { observeRuleset } from "./ruleset-observe.ts";
import { TableWatch } from "./table-watch.ts";

export interface Stamping {
  /** What asks at each opening beside nftables, whose changes have no number: legacy iptables' tables. */
  readonly legacy: () => string | undefined;
}

export interface OwnTableParts {
  readonly nft: NftContext;
  readonly netfilter: NetlinkSocket;
  /** Opens another like it. */
  readonly openSocket: () => NetlinkSocket;
  /** Hears of others' transactions, and is used for nothing else. */
  readonly announcements: NetlinkSocket;
  /** Undefined where new connections are not to carry the number of the rules. */
  readonly stamping: Stamping | undefined;
}

/** What the table was after the transaction `generation`. */
interface Known {
  readonly ruleset: Ruleset;
  readonly generation: number;
  /** The number in the stamp; undefined where it is that of no rules. */
  readonly stamp: number | undefined;
}

export class OwnTable {
  readonly #nft: NftContext;
  readonly #netfilter: NetlinkSocket;
  readonly #openSocket: () => NetlinkSocket;
  readonly #watch: TableWatch;
  readonly #stamping: Stamping | undefined;
  #known: Known | undefined;
  /** As the rules of that number have it. */
  #others: { readonly generation: number; readonly asked: string | undefined } | undefined;

  constructor({ nft, netfilter, openSocket, announcements, stamping }: OwnTableParts) {
    this.#nft = nft;
    this.#netfilter = netfilter;
    this.#openSocket = openSocket;
    this.#watch = new TableWatch(announcements, nftTable);
    this.#stamping = stamping;
  }

  /** Which of others' rules has every opening asked about; undefined where none is known to. */
  get whyAsked(): string | undefined {
    return this.#stamping?.legacy() ?? this.#others?.asked;
  }

  /** Commits a transaction. */
  change({ text, leadsTo, isWhole }: Extract<Step, { kind: "nft" }>): void {
    const isBased = this.#isKnown() || isWhole === true;
    this.#watch.pause();
    const before = this.#known?.generation ?? this.#generation();
    const isSteady = this.#isSteadyAt(before);
    this.#known = undefined;
    this.#nft.run(`${text}${this.#stampAfter(isSteady ? before : undefined, leadsTo)}`);
    this.#watch.listen();
    // Anything but one step on is somebody who came in between.
    const after = this.#generation();
    if (before === undefined || after !== before + 1) return;
    if (this.#others?.generation === before) this.#others = { ...this.#others, generation: after };
    if (!isBased || leadsTo === undefined) return;
    this.#known = { ruleset: leadsTo, generation: after, stamp: isSteady ? after : undefined };
  }

  /** How far the table is `expected`; undefined where there is none. */
  observe(expected: Ruleset): Ruleset | undefined {
    if (!this.#isKnown()) return atOnce(this.#read(this.#netfilter, expected));
    const ruleset = this.#known?.ruleset;
    atOnce(this.#keepStamp(this.#netfilter));
    return ruleset;
  }

  get isThere(): boolean {
    return this.#nft.list(nftTable) !== undefined;
  }

  /**
   * Reads what `observe` would, and answers whether that has nothing left to read: it has where the table was changed
   * meanwhile. The socket is the caller's, for this alone.
   */
  *read(socket: NetlinkSocket, expected: Ruleset): InParts<boolean> {
    if (this.#isKnown()) yield* this.#keepStamp(socket);
    else if ((yield* this.#read(socket, expected)) === undefined) return true; // no table
    return this.#known !== undefined;
  }

  /** Whether the table is what it was known to be; that is up to date then. */
  #isKnown(): boolean {
    if (this.#known === undefined) return false;
    const { generation } = this.#known;
    const until = this.#generation();
    if (generation === until) return true;
    const isSame = until !== undefined && this.#watch.untouchedSince(generation) === until;
    this.#known = isSame ? { ...this.#known, generation: until } : undefined;
    return isSame;
  }

  *#read(socket: NetlinkSocket, expected: Ruleset): InParts<Ruleset | undefined> {
    this.#known = undefined;
    this.#watch.pause();
    this.#watch.listen();
    const generation = this.#generation();
    const ruleset = yield* observeRuleset(this.#nft, socket, expected);
    yield* this.#readOthers(socket, generation); // also for the table that is about to be made
    // Dumps are no snapshot: what changed meanwhile is looked at again next time.
    if (ruleset === undefined || generation === undefined || this.#known !== undefined) {
      return ruleset;
    }
    const isStamped = this.#nft.list(ruleset.table)?.includes(stampRule(generation));
    this.#known = { ruleset, generation, stamp: isStamped === true ? generation : undefined };
    if (this.#isKnown()) yield* this.#keepStamp(socket);
    return ruleset;
  }

  /** Of the known table. Nothing is committed where the stamp is right: an agent that starts anew changes nothing. */
  *#keepStamp(socket: NetlinkSocket): InParts<void> {
    if (this.#stamping === undefined || this.#known === undefined) return;
    yield* this.#readOthers(socket, this.#known.generation);
    const known: Known | undefined = this.#known; // others had their turn
    if (known === undefined || this.#stampAfter(undefined, known.ruleset) === "") return;
    const stamp = this.#isSteadyAt(known.generation) ? known.generation : undefined;
    if (known.stamp !== stamp) this.change({ kind: "nft", text: "", leadsTo: known.ruleset });
  }

  *#readOthers(socket: NetlinkSocket, generation: number | undefined): InParts<void> {
    if (this.#stamping === undefined || generation === undefined) return;
    if (this.#others?.generation === generation) return;
    this.#others = { generation, asked: yield* whyOpeningsAreAsked(socket, this.#openSocket) };
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
