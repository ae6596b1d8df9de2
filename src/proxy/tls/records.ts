/**
 * Records of a TLS 1.3 connection whose handshake is over (RFC 8446 §5), and what comes in them besides data (§4.6, §6).
 *
 * What arrives is opened into the reader's memory, what leaves is sealed into the writer's. In between a connection holds
 * its keys and, where the wire has cut one, the record that it is in the middle of: a kilobyte of JavaScript's, and nothing
 * that must be given back.
 *
 * A change of keys is followed, and answered where that is asked; an alert ends reading; tickets are let go, for the one
 * that a client keeps came before (`connection.ts`, also for how a connection comes to be here). Handshakes are OpenSSL's.
 */

import type { MeshError } from "../../base/error.ts";
import { alertName, alerts } from "./alerts.ts";
import { headerBytes, tagBytes } from "./calls/aead.ts";
import { keyUpdateNotRequested, PostHandshake } from "./post-handshake.ts";
import {
  broken,
  KeyChanges,
  maxContentBytes,
  Patience,
  type RecordLayer,
  tooManyChanges,
  tooManyWithoutData,
} from "./record-layer.ts";
import { applicationData, type TrafficKeys } from "./traffic-keys.ts";

export interface RecordOptions {
  readonly reading: TrafficKeys;
  readonly writing: TrafficKeys;
  /** A server takes no tickets: one ends its connection. */
  readonly isServer: boolean;
  /** After so many the key that they are written with is changed. */
  readonly recordsPerKey: number;
}

// Types of content (RFC 8446 §5.1).
const alert = 21;
const handshake = 22;
const warning = 1;
const fatal = 2;
const alertBytes = 2;

/** What protection may add to content: its type, padding and the tag (RFC 8446 §5.2). */
const maxExpansionBytes = 256;
const roomForOwn = 64;
const nothing = Buffer.alloc(0);

export class Records implements RecordLayer {
  hasPeerClosed = false;
  /** What leaves does not wait for what arrives. */
  readonly isInMidMessage = false;
  error: MeshError | undefined;
  readonly #reading: TrafficKeys;
  readonly #writing: TrafficKeys;
  readonly #recordsPerKey: number;
  readonly #messages: PostHandshake;
  readonly #patience = new Patience();
  /** Most peers never change keys. */
  #changes: KeyChanges | undefined;
  /** A record, the rest of which is still to come: with room for its header, and for all once that says how much it is. */
  #held: Buffer = nothing;
  #heldBytes = 0;
  #isAskedForUpdate = false;
  #reply: Buffer | undefined;

  constructor({ reading, writing, isServer, recordsPerKey }: RecordOptions) {
    this.#reading = reading;
    this.#writing = writing;
    this.#recordsPerKey = recordsPerKey;
    this.#messages = new PostHandshake(isServer);
  }

  // ---- what arrives ----------------------------------------------------------------------------

  open(bytes: Buffer, length: number, into: Buffer): number {
    let at = 0;
    let filled = 0;
    if (this.#heldBytes > 0) {
      at = this.#hold(bytes, 0, length);
      filled = this.#openHeld(into);
    }
    while (at < length && this.#isReading) {
      const size = this.#sizeOf(bytes, at, length);
      if (size === undefined || size > length - at) {
        at = this.#hold(bytes, at, length);
      } else {
        filled += this.#openRecord(bytes, at, size, into, filled);
        at += size;
      }
    }
    if (!this.#isReading) this.#letGo();
    // Also a peer that has had its last word: what is written to it is still to be under other keys (RFC 8446 §4.6.3).
    if (this.#isAskedForUpdate && this.error === undefined) this.#reply = this.#updateKeys();
    this.#isAskedForUpdate = false;
    if (filled > 0) this.#patience.renew();
    return filled;
  }

  get #isReading(): boolean {
    return !this.hasPeerClosed && this.error === undefined;
  }

  /** By its header; undefined: that is not there whole, or says what cannot be. */
  #sizeOf(bytes: Buffer, at: number, end: number): number | undefined {
    if (end - at < headerBytes) return undefined;
    const type = bytes[at];
    const length = bytes.readUInt16BE(at + 3);
    if (type !== applicationData) {
      this.#refuse(alerts.unexpectedMessage, `a record of type ${type} in the clear`);
    } else if (length > maxContentBytes + maxExpansionBytes) {
      this.#refuse(alerts.recordOverflow, `a record of ${length} bytes`);
    } else if (length <= tagBytes) {
      this.#refuse(alerts.badRecordMac, `a record of ${length} bytes`);
    } else {
      return headerBytes + length;
    }
    return undefined;
  }

  /** Keeps what there is of a record that is not there whole; returns where the next one begins. */
  #hold(bytes: Buffer, at: number, end: number): number {
    if (!this.#isReading) return end;
    if (this.#heldBytes === 0) this.#held = Buffer.allocUnsafeSlow(headerBytes);
    let next = at + this.#fillHeld(bytes, at, end);
    if (this.#held.length === headerBytes) {
      const size = this.#sizeOf(this.#held, 0, this.#heldBytes);
      if (size === undefined) return end;
      const header = this.#held;
      this.#held = Buffer.allocUnsafeSlow(size);
      header.copy(this.#held);
      next += this.#fillHeld(bytes, next, end);
    }
    return next;
  }

  #fillHeld(bytes: Buffer, at: number, end: number): number {
    const filled = bytes.copy(this.#held, this.#heldBytes, at, end);
    this.#heldBytes += filled;
    return filled;
  }

  /** Opens what was held, if it is whole now, to `into`. */
  #openHeld(into: Buffer): number {
    if (this.#heldBytes <= headerBytes || this.#heldBytes < this.#held.length) return 0;
    const record = this.#held;
    this.#letGo();
    return this.#openRecord(record, 0, record.length, into, 0);
  }

  #letGo(): void {
    this.#held = nothing;
    this.#heldBytes = 0;
  }

  /** Opens a record to `into[to…]`; returns how much data was in it. */
  #openRecord(bytes: Buffer, at: number, length: number, into: Buffer, to: number): number {
    const opened = this.#reading.open({ bytes, at, length }, into, to);
    if (opened === undefined) {
      return this.#refuse(alerts.badRecordMac, "a record that was not sealed as the next one");
    }
    if (opened > maxContentBytes + 1) {
      return this.#refuse(alerts.recordOverflow, `a record that holds ${opened} bytes`);
    }
    let end = to + opened;
    while (end > to && into[end - 1] === 0) end--; // padding
    if (end === to) return this.#refuse(alerts.unexpectedMessage, "a record of padding alone");
    end--;
    const type = into[end];
    if (type === applicationData && !this.#messages.isInMidMessage && end > to) return end - to;
    if (this.#patience.bears()) this.#takeOther(type, into, to, end);
    else this.#refuse(alerts.unexpectedMessage, tooManyWithoutData);
    return 0;
  }

  /** A record that is not data, or is data of no bytes. */
  #takeOther(type: number | undefined, bytes: Buffer, at: number, end: number): void {
    if (type === handshake) this.#takeMessages(bytes, at, end);
    else if (this.#messages.isInMidMessage) {
      this.#refuse(alerts.unexpectedMessage, `type ${type} in the middle of a message`);
    } else if (type === alert) this.#takeAlert(bytes, at, end);
    else if (type !== applicationData) {
      this.#refuse(alerts.unexpectedMessage, `a record of type ${type}`);
    }
  }

  #takeMessages(bytes: Buffer, at: number, end: number): void {
    const heard = this.#messages.take(bytes, at, end);
    if (heard.kind === "broken") this.#refuse(heard.alert, heard.problem);
    else if (heard.kind !== "nothing") this.#changeKeys(heard.kind === "update asked");
  }

  #changeKeys(isAsked: boolean): void {
    this.#changes ??= new KeyChanges();
    if (!this.#changes.bears()) {
      this.#refuse(alerts.unexpectedMessage, tooManyChanges);
      return;
    }
    this.#reading.update();
    if (isAsked) this.#isAskedForUpdate = true;
  }

  /** All but two end the connection, whatever their level says (RFC 8446 §6). */
  #takeAlert(bytes: Buffer, at: number, end: number): void {
    const code = bytes[at + 1] as number;
    if (end === at) this.#refuse(alerts.unexpectedMessage, "an empty alert");
    else if (end - at !== alertBytes)
      this.#refuse(alerts.decodeError, `an alert of ${end - at} bytes`);
    else if (code === alerts.closeNotify) this.hasPeerClosed = true;
    else if (code !== alerts.userCanceled)
      this.error = broken(`it sent the alert ${alertName(code)}`);
  }

  /** The peer has done what it must not; it is told so. Returns that no data came. */
  #refuse(code: number, problem: string): 0 {
    this.error = broken(`${problem}: ${alertName(code)}`);
    this.#reply = this.#sealOwn(alert, Buffer.of(fatal, code));
    return 0;
  }

  breakOff(reason: string): MeshError {
    this.error = broken(reason);
    return this.error;
  }

  takeReply(): Buffer | undefined {
    const reply = this.#reply;
    this.#reply = undefined;
    return reply;
  }

  // ---- what leaves -----------------------------------------------------------------------------

  seal(bytes: Uint8Array, at: number, length: number, into: Buffer): number {
    let sealed = 0;
    const records = Math.ceil(length / maxContentBytes);
    if (this.#writing.records + records > this.#recordsPerKey)
      sealed += this.#updateKeys().copy(into);
    for (let from = at; from < at + length; from += maxContentBytes) {
      const content = { bytes, at: from, length: Math.min(maxContentBytes, at + length - from) };
      sealed += this.#writing.seal(applicationData, content, into, sealed);
    }
    return sealed;
  }

  end(): Buffer {
    return this.#sealOwn(alert, Buffer.of(warning, alerts.closeNotify));
  }

  /** Writes with other keys from here on; what is to be sent before. */
  #updateKeys(): Buffer {
    const message = this.#sealOwn(handshake, keyUpdateNotRequested);
    this.#writing.update();
    return message;
  }

  #sealOwn(type: number, bytes: Buffer): Buffer {
    const into = Buffer.alloc(roomForOwn);
    const content = { bytes, at: 0, length: bytes.length };
    return into.subarray(0, this.#writing.seal(type, content, into, 0));
  }
}
