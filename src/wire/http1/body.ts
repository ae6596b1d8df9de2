/**
 * Follows one message body through the buffers it arrives in.
 *
 * `advance` answers how many of the bytes belong to the body, framing included, so that a proxy can pass them on as
 * they are: chunks are checked, not rebuilt. That is safe only because the check is strict; lines end in CRLF, sizes
 * are plain hexadecimal, extensions hold no control bytes, so every reader downstream sees the same chunks. Trailers go
 * through as well, but for those that could change what the head said (trailers.ts): these are a problem.
 */

import { COLON, CR, hexValue, LF, SP, TAB, tokenByte, valueByte } from "./chars.ts";
import type { Framing } from "./framing.ts";
import type { HttpProblem } from "./problem.ts";
import { TrailerName } from "./trailers.ts";

const SEMICOLON = 59;
const EQUALS = 61;
const QUOTE = 34;
const BACKSLASH = 92;

const maxSizeDigits = 13; // 52 bits: exact in a number
const maxExtensionBytes = 4096; // over a whole body; a flood of extensions is a denial of service (CVE-2023-39326)
const maxTrailerBytes = 16 * 1024;

const DONE = 0;
const LENGTH = 1;
const CLOSE = 2;
const SIZE_FIRST = 3; // the first digit of a chunk's size
const SIZE = 4;
const EXT_START = 5; // after a semicolon: a name must follow
const SIZE_LF = 6;
const DATA = 7;
const DATA_CR = 8;
const DATA_LF = 9;
const TRAILER_START = 10;
const TRAILER_NAME = 11;
const TRAILER_VALUE = 12;
const TRAILER_LF = 13;
const END_LF = 14;
const EXT_NAME = 15;
const EXT_VALUE_START = 16;
const EXT_VALUE = 17;
const EXT_QUOTED = 18;
const EXT_ESCAPED = 19;
const EXT_QUOTED_END = 20;

export class BodyReader {
  problem: HttpProblem | undefined;
  #state = DONE;
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  readonly #trailerName = new TrailerName();

  begin(framing: Framing): void {
    this.problem = undefined;
    switch (framing.kind) {
      case "none":
        this.#state = DONE;
        break;
      case "length":
        this.#left = framing.bytes;
        this.#state = framing.bytes === 0 ? DONE : LENGTH;
        break;
      case "chunked":
        this.#state = SIZE_FIRST;
        this.#extensionBytes = 0;
        this.#trailerBytes = 0;
        break;
      case "close":
        this.#state = CLOSE;
        break;
    }
  }

  /** The whole body has been seen. A body until close is never done; its end is the connection's. */
  get isDone(): boolean {
    return this.#state === DONE;
  }

  /** Whether the peer's closing ends the body properly. */
  get endsAtClose(): boolean {
    return this.#state === CLOSE;
  }

  /** Where this body's bytes end within `bytes[at, end)`. Stops early when it is done, or has a `problem`. */
  advance(bytes: Uint8Array, at: number, end: number): number {
    switch (this.#state) {
      case DONE:
        return at;
      case CLOSE:
        return end;
      case LENGTH: {
        const taken = Math.min(this.#left, end - at);
        this.#left -= taken;
        if (this.#left === 0) this.#state = DONE;
        return at + taken;
      }
      default:
        return this.#advanceChunked(bytes, at, end);
    }
  }

  #advanceChunked(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    while (at < end) {
      const byte = bytes[at] ?? 0;
      switch (this.#state) {
        case DONE:
          return at;
        case SIZE_FIRST: {
          const digit = hexValue[byte] ?? 255;
          if (digit === 255) return this.#fail("bad-chunk", at);
          this.#left = digit;
          this.#digits = 1;
          this.#state = SIZE;
          at++;
          break;
        }
        case SIZE: {
          const digit = hexValue[byte] ?? 255;
          if (digit !== 255) {
            if (++this.#digits > maxSizeDigits) return this.#fail("bad-chunk", at);
            this.#left = this.#left * 16 + digit;
          } else if (byte === CR) this.#state = SIZE_LF;
          else if (byte === SEMICOLON) this.#state = EXT_START;
          else return this.#fail("bad-chunk", at);
          at++;
          break;
        }
        case EXT_START:
        case EXT_NAME:
        case EXT_VALUE_START:
        case EXT_VALUE:
        case EXT_QUOTED:
        case EXT_ESCAPED:
        case EXT_QUOTED_END:
          if (!this.#extension(byte)) return this.#fail("bad-chunk", at);
          if (++this.#extensionBytes > maxExtensionBytes) {
            return this.#fail("chunk-extension-too-long", at);
          }
          at++;
          break;
        case SIZE_LF:
          if (byte !== LF) return this.#fail("bad-chunk", at);
          this.#state = this.#left === 0 ? TRAILER_START : DATA;
          at++;
          break;
        case DATA: {
          const taken = Math.min(this.#left, end - at);
          this.#left -= taken;
          at += taken;
          if (this.#left === 0) this.#state = DATA_CR;
          break;
        }
        case DATA_CR:
          if (byte !== CR) return this.#fail("bad-chunk", at);
          this.#state = DATA_LF;
          at++;
          break;
        case DATA_LF:
          if (byte !== LF) return this.#fail("bad-chunk", at);
          this.#state = SIZE_FIRST;
          at++;
          break;
        default: {
          if (++this.#trailerBytes > maxTrailerBytes) return this.#fail("trailers-too-large", at);
          if (!this.#trailer(byte)) {
            const isKnown = this.#state === TRAILER_NAME && byte === COLON;
            return this.#fail(isKnown ? "forbidden-trailer" : "bad-trailer", at);
          }
          at++;
        }
      }
    }
    return at;
  }

  /**
   * One byte of `;name=value` (RFC 9112 §7.1.1, without its optional white space); false when it cannot stand there.
   */
  #extension(byte: number): boolean {
    switch (this.#state) {
      case EXT_START:
        this.#state = EXT_NAME;
        return tokenByte[byte] === 1;
      case EXT_NAME:
        if (byte === EQUALS) this.#state = EXT_VALUE_START;
        else return this.#endOfExtension(byte) || tokenByte[byte] === 1;
        return true;
      case EXT_VALUE_START:
        this.#state = byte === QUOTE ? EXT_QUOTED : EXT_VALUE;
        return byte === QUOTE || tokenByte[byte] === 1;
      case EXT_VALUE:
        return this.#endOfExtension(byte) || tokenByte[byte] === 1;
      case EXT_QUOTED:
        if (byte === QUOTE) this.#state = EXT_QUOTED_END;
        else if (byte === BACKSLASH) this.#state = EXT_ESCAPED;
        return valueByte[byte] === 1;
      case EXT_ESCAPED:
        this.#state = EXT_QUOTED;
        return valueByte[byte] === 1;
      default:
        return this.#endOfExtension(byte);
    }
  }

  #endOfExtension(byte: number): boolean {
    if (byte === CR) this.#state = SIZE_LF;
    else if (byte === SEMICOLON) this.#state = EXT_START;
    else return false;
    return true;
  }

  /** One byte of the trailer section; false when it cannot stand there. */
  #trailer(byte: number): boolean {
    switch (this.#state) {
      case TRAILER_START:
        if (byte === CR) this.#state = END_LF;
        else if (tokenByte[byte] === 1) {
          this.#state = TRAILER_NAME;
          this.#trailerName.begin(byte);
        } else return false;
        return true;
      case TRAILER_NAME:
        if (byte === COLON) {
          if (this.#trailerName.isForbidden) return false;
          this.#state = TRAILER_VALUE;
          return true;
        }
        this.#trailerName.add(byte);
        return tokenByte[byte] === 1;
      case TRAILER_VALUE:
        if (byte === CR) this.#state = TRAILER_LF;
        return byte === CR || byte === SP || byte === TAB || valueByte[byte] === 1;
      case TRAILER_LF:
        this.#state = TRAILER_START;
        return byte === LF;
      case END_LF:
        this.#state = DONE;
        return byte === LF;
      default:
        return false;
    }
  }

  #fail(problem: HttpProblem, at: number): number {
    this.problem = problem;
    return at;
  }
}
