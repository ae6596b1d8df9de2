/**
 * What must be known of a connection to go on with its records without OpenSSL: the secrets of both directions, and how many
 * records each has protected.
 *
 * OpenSSL is not asked for either, but tells of both while it works: of secrets where keys can be logged, of records and
 * messages where they can be watched. So nothing is guessed from what the wire shows, and a ticket, an alert or a change of
 * keys is counted as what it is.
 */

import { MeshError } from "../../base/error.ts";
import { type Watcher, watchers } from "./calls/callbacks.ts";
import type { Pointer } from "./calls/library.ts";
import type { OpenSsl } from "./openssl.ts";
import { nextSecret, TrafficKeys } from "./traffic-keys.ts";

interface Direction {
  /** The first secret's label in a log of keys. */
  readonly label: string;
  secret: Buffer | undefined;
  /** Under the present key, whichever that is. */
  records: number;
}

const clientLabel = "CLIENT_TRAFFIC_SECRET_0";
const serverLabel = "SERVER_TRAFFIC_SECRET_0";

/** Watches a connection until it is closed. */
export class Ledger implements Watcher {
  readonly protocols: Buffer | undefined;
  /** A server's ticket has come. */
  hasTicket = false;
  readonly #connection: Pointer;
  readonly #reading: Direction;
  readonly #writing: Direction;

  /** `protocols`: as `Watcher` has it. */
  constructor(connection: Pointer, isServer: boolean, protocols: Buffer | undefined) {
    this.protocols = protocols;
    this.#connection = connection;
    const [theirs, own] = isServer ? [clientLabel, serverLabel] : [serverLabel, clientLabel];
    this.#reading = { label: theirs, secret: undefined, records: 0 };
    this.#writing = { label: own, secret: undefined, records: 0 };
    watchers.set(connection, this);
  }

  onSecret(line: string): void {
    const [label, , secret = ""] = line.split(" ");
    for (const direction of [this.#reading, this.#writing]) {
      if (direction.label === label) direction.secret = bytesOf(secret);
    }
  }

  onRecord(isWritten: boolean): void {
    this.#direction(isWritten).records++;
  }

  /** After its Finished, and after a KeyUpdate, an end writes with other keys (RFC 8446 §2, §4.6.3). */
  onMessage(isWritten: boolean, type: number): void {
    const direction = this.#direction(isWritten);
    if (type === newSessionTicket) this.hasTicket = true;
    if (type === finished) direction.records = 0;
    if (type === keyUpdate) {
      direction.records = 0;
      if (direction.secret !== undefined) direction.secret = nextSecret(direction.secret);
    }
  }

  /** What its records go on with once the handshake is over. */
  keys(calls: OpenSsl): { readonly reading: TrafficKeys; readonly writing: TrafficKeys } {
    const suite = calls.suiteOf(this.#connection);
    return {
      reading: keysOf(calls, suite, this.#reading),
      writing: keysOf(calls, suite, this.#writing),
    };
  }

  close(): void {
    watchers.delete(this.#connection);
  }

  #direction(isWritten: boolean): Direction {
    return isWritten ? this.#writing : this.#reading;
  }
}

function keysOf(calls: OpenSsl, suite: number, { label, secret, records }: Direction): TrafficKeys {
  if (secret !== undefined) return TrafficKeys.of(calls, suite, secret, records);
  throw new MeshError("heddle.assumption", `go on with records: OpenSSL did not tell ${label}`);
}

/** In memory of its own: a few bytes of what Node shares out would keep all of that, 64 KiB, as long as they live. */
function bytesOf(hex: string): Buffer {
  const bytes = Buffer.alloc(hex.length / 2);
  bytes.write(hex, "hex");
  return bytes;
}

// Types of messages (RFC 8446 §4).
const newSessionTicket = 4;
const finished = 20;
const keyUpdate = 24;
