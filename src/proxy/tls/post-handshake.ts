/**
 * Messages of the handshake protocol that come after the handshake (RFC 8446 §4.6), as they arrive, in any number of
 * records: changes of keys, and a server's tickets, which are skipped without being kept.
 */

import { alerts } from "./alerts.ts";

/** What a record's content said; "update asked": and the peer wants our keys changed, too. */
export type Heard =
  | { readonly kind: "nothing" | "update" | "update asked" }
  | { readonly kind: "broken"; readonly alert: number; readonly problem: string };

// RFC 8446 §4 and §4.6.3.
const newSessionTicket = 4;
const keyUpdate = 24;
const updateNotRequested = 0;
const updateRequested = 1;

/** What has no ticket of its own is answered with this. */
export const keyUpdateNotRequested: Buffer = Buffer.of(keyUpdate, 0, 0, 1, updateNotRequested);

const messageHeaderBytes = 4;
/** Each of its parts at its longest (RFC 8446 §4.6.1); OpenSSL takes them as long. */
const maxTicketBytes = 4 + 4 + (1 + 255) + (2 + 65_535) + (2 + 65_534);

export class PostHandshake {
  readonly #isServer: boolean;
  /** Type and length, as far as they have come. */
  readonly #header: number[] = [];
  /** Of the body. */
  #bytesLeft = 0;

  constructor(isServer: boolean) {
    this.#isServer = isServer;
  }

  /** Part of a message has come: until its end there is room for nothing else (RFC 8446 §5.1). */
  get isInMidMessage(): boolean {
    return this.#header.length > 0;
  }

  /** Takes the content of a record, `bytes[at, end)`. */
  take(bytes: Buffer, at: number, end: number): Heard {
    if (at === end) return refusal(alerts.unexpectedMessage, "an empty record of its handshake");
    for (let i = at; i < end; ) {
      if (this.#header.length < messageHeaderBytes) {
        this.#header.push(bytes[i++] as number);
        const problem = this.#header.length === messageHeaderBytes ? this.#begin() : undefined;
        if (problem !== undefined) return problem;
      } else if (this.#header[0] === keyUpdate) {
        this.#header.length = 0;
        // Other keys begin with a record (RFC 8446 §5.1).
        if (i + 1 < end) return refusal(alerts.unexpectedMessage, "a message behind its old keys");
        return updateOf(bytes[i] as number);
      } else {
        const skipped = Math.min(this.#bytesLeft, end - i);
        this.#bytesLeft -= skipped;
        i += skipped;
        if (this.#bytesLeft === 0) this.#header.length = 0;
      }
    }
    return { kind: "nothing" };
  }

  /** A message's header is whole: is it one to go on with? */
  #begin(): Heard | undefined {
    const [type, high = 0, middle = 0, low = 0] = this.#header;
    const length = (high << 16) | (middle << 8) | low;
    this.#bytesLeft = length;
    if (type === keyUpdate) {
      return length === 1
        ? undefined
        : refusal(alerts.decodeError, `a KeyUpdate of ${length} bytes`);
    }
    if (type !== newSessionTicket || this.#isServer) {
      return refusal(alerts.unexpectedMessage, `a message of type ${type}`);
    }
    if (length > 0 && length <= maxTicketBytes) return undefined;
    return refusal(alerts.decodeError, `a ticket of ${length} bytes`);
  }
}

function updateOf(request: number): Heard {
  if (request === updateNotRequested) return { kind: "update" };
  if (request === updateRequested) return { kind: "update asked" };
  return refusal(alerts.illegalParameter, `a KeyUpdate that asks for ${request}`);
}

function refusal(alert: number, problem: string): Heard {
  return { kind: "broken", alert, problem };
}
