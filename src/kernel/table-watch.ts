/**
 * Whether others' nftables transactions touched a table of ours: the kernel announces each to those who listen, object
 * by object and then its number.
 *
 * Numbers follow each other, so nothing can be missed: a number that was not heard, or a part that was lost, is an
 * answer too, namely that the table has to be read. Announcements wait in the socket's buffer; nobody is woken by them.
 *
 * Our own transactions are not listened to, since what they did is known: ten thousand elements would be as many
 * announcements.
 */

import { decodeAnnouncement, rulesGroup } from "../wire/netlink/nftables.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";

/** A commit of ten thousands of elements by somebody else; more is lost, and the table read. */
const bufferBytes = 8 * 1024 * 1024;

export class TableWatch {
  readonly #socket: NetlinkSocket;
  readonly #table: string;
  #isListening = false;

  /** The socket is for this alone. */
  constructor(socket: NetlinkSocket, table: string) {
    this.#socket = socket;
    this.#table = table;
    socket.setReceiveBuffer(bufferBytes);
  }

  /** From the next transaction on. */
  listen(): void {
    if (this.#isListening) return;
    this.#socket.drain(Number.POSITIVE_INFINITY, () => undefined);
    this.#socket.join(rulesGroup);
    this.#isListening = true;
  }

  pause(): void {
    if (!this.#isListening) return;
    this.#isListening = false;
    this.#socket.leave(rulesGroup);
  }

  /**
   * The last transaction after number `known` up to which each was heard and none touched the table; `known` where none
   * is.
   */
  untouchedSince(known: number): number {
    if (!this.#isListening) return known;
    let until = known;
    let isTouched = false;
    const lost = () => {
      isTouched = true;
    };
    for (const each of this.#socket.drain(Number.POSITIVE_INFINITY, decodeAnnouncement, lost)) {
      if (each.kind === "change") isTouched ||= each.table === this.#table;
      else if (!isTouched && each.number === until + 1) until = each.number;
    }
    return until;
  }
}
