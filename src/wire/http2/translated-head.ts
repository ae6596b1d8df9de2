/**
 * A message head that came as HTTP/2 fields, spelt as HTTP/1.1 would have: the same text, the same offsets.
 *
 * So there is one form of a head behind the codecs, whatever it came in: filters, policies and header edits are written
 * once and cannot disagree between protocols, and translating a message is writing its text. It costs a few string
 * concatenations, for a field from the table brings its line along.
 *
 * A request for another protocol (extended CONNECT, RFC 8441) is spelt as the GET with Upgrade that asks for the same in
 * HTTP/1.1, so that policies and routes mean the same by both.
 *
 * What HTTP/2 demands of a head (RFC 9113 §8.3) is checked here: pseudo-header fields first, each once, all that must be
 * there and no others. Several cookie fields become one line (§8.2.3). A Host that contradicts `:authority` is malformed.
 * Trailers lose the fields that may not be there (http1/trailers.ts).
 *
 * Not here: whether a single field may be (field-rules.ts), and what a head means for its stream (connection.ts).
 */

import type { FieldSink } from "../hpack/decoder.ts";
import type { Field } from "../hpack/static-table.ts";
import { mark } from "../http1/field-names.ts";
import { defaultLimits, type HeadLimits } from "../http1/head.ts";
import { isForbiddenTrailer } from "../http1/trailers.ts";
import {
  markShift,
  NOTE_AUTHORITY,
  NOTE_BAD,
  NOTE_CONTENT_LENGTH,
  NOTE_COOKIE,
  NOTE_HOST,
  NOTE_METHOD,
  NOTE_ORDINARY,
  NOTE_PATH,
  NOTE_PROTOCOL,
  NOTE_SCHEME,
  NOTE_STATUS,
  noteMask,
  noteOf,
} from "./field-rules.ts";

/** What a reader of heads knows: marks of names (lower case), and reason phrases for statuses. */
export interface Vocabulary {
  readonly marks: ReadonlyMap<string, number>;
  /** One more than the highest mark. */
  readonly markCount: number;
  readonly reasonOf: (status: number) => string;
}

export const maxHeadBytes: number = defaultLimits.maxHeadBytes;
/** RFC 9113 §10.5.1: what a field counts beyond its text. */
const fieldOverhead = 32;

export type HeadKind = "request" | "response" | "trailers";

/** Its fields up to `expectsContinue` are those of HTTP/1.1's `HeadParser`, and mean the same. */
export class TranslatedHead implements FieldSink {
  readonly slots: Int32Array;
  readonly marks: Uint8Array;
  readonly first: Int16Array;
  readonly lineStart = 0;
  headEnd = 0;
  count = 0;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  readonly minor = 1;
  status = 0;
  startLineEnd = 0;
  contentLength = -1;
  readonly isChunked = false;
  readonly closes = false;
  readonly keepsAlive = false;
  upgrades = false;
  readonly isLoose = false;
  expectsContinue = false;

  /** What an extended CONNECT asks for; undefined: it is none. */
  protocol: string | undefined;

  /** The head as text; of trailers, their lines. */
  text = "";
  isMalformed = false;
  /** More fields or bytes than we take: the message is not to be acted on. */
  isTooLarge = false;
  /** Names whose values must not enter a table on the way on (RFC 7541 §7.1.3). */
  sensitive: Set<string> | undefined;

  readonly #vocabulary: Vocabulary;
  readonly #limits: HeadLimits;
  #kind: HeadKind = "request";
  #hasStartLine = false;
  #bytes = 0;
  #method = "";
  #path = "";
  #authority: string | undefined;
  #hasScheme = false;
  #cookies = "";

  constructor(vocabulary: Vocabulary, limits: HeadLimits = defaultLimits) {
    this.#vocabulary = vocabulary;
    this.#limits = limits;
    this.slots = new Int32Array(limits.maxFields * 4);
    this.marks = new Uint8Array(limits.maxFields);
    this.first = new Int16Array(vocabulary.markCount).fill(-1);
  }

  begin(kind: HeadKind): void {
    this.#kind = kind;
    this.first.fill(-1);
    this.count = this.status = this.#bytes = 0;
    this.contentLength = -1;
    this.expectsContinue = this.isMalformed = this.isTooLarge = false;
    this.text = this.#method = this.#path = this.#cookies = "";
    this.#authority = this.sensitive = this.protocol = undefined;
    this.#hasScheme = this.upgrades = false;
    this.#hasStartLine = kind === "trailers";
  }

  fieldAt(known: number): number {
    return this.first[known] ?? -1;
  }

  take(field: Field): void {
    this.#bytes += field.name.length + field.value.length + fieldOverhead;
    const { maxHeadBytes, maxFields } = this.#limits;
    if (this.#bytes > maxHeadBytes || this.count >= maxFields) {
      this.isTooLarge = true;
      return;
    }
    const note = field.note === 0 ? noteOf(field, this.#vocabulary.marks) : field.note;
    if (field.isSensitive) {
      this.sensitive ??= new Set();
      this.sensitive.add(field.name);
    }
    switch (note & noteMask) {
      case NOTE_ORDINARY:
        if (this.#kind === "trailers" && isForbiddenTrailer(field.name)) return;
        this.#addField(field, note >> markShift);
        return;
      case NOTE_BAD:
        this.isMalformed = true;
        return;
      case NOTE_HOST:
        this.#takeHost(field);
        return;
      case NOTE_COOKIE:
        if (this.#kind === "trailers") return;
        this.#startFields();
        this.#cookies += this.#cookies === "" ? field.value : `; ${field.value}`;
        return;
      case NOTE_CONTENT_LENGTH:
        if (this.#kind === "trailers") return;
        if (this.contentLength >= 0) this.isMalformed = true;
        this.contentLength = Number(field.value);
        this.#addField(field, mark.contentLength);
        return;
      default:
        this.#takePseudo(field.value, note & noteMask);
    }
  }

  /** The block is over: completes the text. False: malformed, or too large. */
  finish(): boolean {
    if (this.#kind !== "trailers") {
      this.#startFields();
      // They are the last line, and one field however many there were.
      if (this.#cookies !== "") this.#addLine("cookie", this.#cookies, 0);
      if (this.#kind === "request" && this.fieldAt(mark.host) < 0) this.isMalformed = true;
      // What follows is the other protocol's, and no body of any length.
      if (this.upgrades && this.contentLength >= 0) this.isMalformed = true;
      this.text += "\r\n";
      const expect = this.fieldAt(mark.expect);
      if (expect >= 0) {
        const value = this.text.slice(this.slots[expect * 4 + 2], this.slots[expect * 4 + 3]);
        this.expectsContinue = value.toLowerCase() === "100-continue";
        if (!this.expectsContinue) this.isMalformed = true;
      }
    }
    this.headEnd = this.text.length;
    return !this.isMalformed && !this.isTooLarge;
  }

  // ---- pseudo-header fields ------------------------------------------------------------------------

  #takePseudo(value: string, note: number): void {
    if (this.#hasStartLine) this.isMalformed = true; // behind an ordinary field, or in trailers
    if ((note === NOTE_STATUS) !== (this.#kind === "response")) this.isMalformed = true;
    switch (note) {
      case NOTE_METHOD:
        if (this.#method !== "") this.isMalformed = true;
        this.#method = value;
        return;
      case NOTE_PATH:
        if (this.#path !== "") this.isMalformed = true;
        this.#path = value;
        return;
      case NOTE_AUTHORITY:
        if (this.#authority !== undefined) this.isMalformed = true;
        this.#authority = value;
        return;
      case NOTE_SCHEME:
        if (this.#hasScheme) this.isMalformed = true;
        this.#hasScheme = true;
        return;
      case NOTE_PROTOCOL:
        if (this.protocol !== undefined) this.isMalformed = true;
        this.protocol = value;
        return;
      case NOTE_STATUS:
        if (this.status !== 0) this.isMalformed = true;
        this.status = Number(value);
        return;
    }
  }

  /** The first ordinary field, or the end: now the start line is known. */
  #startFields(): void {
    if (this.#hasStartLine) return;
    this.#hasStartLine = true;
    if (this.#kind === "response") {
      if (this.status === 0) this.isMalformed = true;
      this.text = `HTTP/1.1 ${this.status} ${this.#vocabulary.reasonOf(this.status)}\r\n`;
      this.startLineEnd = this.text.length - 2;
      return;
    }
    const { protocol } = this;
    // RFC 8441 §4: it has a CONNECT's method, and all that other requests have.
    const isExtended = protocol !== undefined;
    if (isExtended && (this.#method !== "CONNECT" || !this.#authority)) this.isMalformed = true;
    const method = isExtended ? "GET" : this.#method;
    // RFC 9113 §8.5: CONNECT names an authority and neither scheme nor path.
    const isConnect = method === "CONNECT";
    const isWhole = isConnect
      ? this.#path === "" && !this.#hasScheme && this.#authority !== undefined
      : method !== "" && this.#path !== "" && this.#hasScheme;
    if (!isWhole || (this.#path === "*" && method !== "OPTIONS")) this.isMalformed = true;
    const target = isConnect ? (this.#authority ?? "") : this.#path;
    this.text = `${method} ${target} HTTP/1.1\r\n`;
    this.methodEnd = method.length;
    this.targetStart = method.length + 1;
    this.targetEnd = this.targetStart + target.length;
    this.startLineEnd = this.text.length - 2;
    if (this.#authority !== undefined) this.#addLine("host", this.#authority, mark.host);
    if (protocol !== undefined) this.#addLine("upgrade", protocol, mark.upgrade);
    this.upgrades = isExtended;
  }

  // ---- ordinary fields -----------------------------------------------------------------------------

  #takeHost(field: Field): void {
    if (this.#kind === "trailers") return;
    this.#startFields();
    if (this.#authority === undefined) {
      this.#authority = field.value;
      this.#addField(field, mark.host);
    } else if (field.value.toLowerCase() !== this.#authority.toLowerCase()) this.isMalformed = true;
  }

  #addField(field: Field, known: number): void {
    if (!this.#hasStartLine) this.#startFields();
    if (field.line === "") field.line = `${field.name}: ${field.value}\r\n`;
    this.#place(field.name.length, field.line.length, known);
    this.text += field.line;
  }

  #addLine(name: string, value: string, known: number): void {
    const line = `${name}: ${value}\r\n`;
    this.#place(name.length, line.length, known);
    this.text += line;
  }

  /** A field that has no place is none that is left out: its head must not be acted on. */
  #place(nameLength: number, lineLength: number, known: number): void {
    const { slots, count } = this;
    if (count >= this.#limits.maxFields) {
      this.isTooLarge = true;
      return;
    }
    const start = this.text.length;
    const slot = count * 4;
    slots[slot] = start;
    slots[slot + 1] = start + nameLength;
    slots[slot + 2] = start + nameLength + 2;
    slots[slot + 3] = start + lineLength - 2;
    this.marks[count] = known;
    if (known !== 0 && this.first[known] === -1) this.first[known] = count;
    this.count = count + 1;
  }
}
