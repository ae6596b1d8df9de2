/**
 * Takes the chunks off a body that came in HTTP/1.1, for a side that frames bodies itself.
 *
 * The chunks have been checked byte for byte before they come here (wire/http1/body.ts), so this only follows them.
 */

import { hexValue } from "../../../wire/http1/chars.ts";
import { canonicalLines } from "../../../wire/http2/lines.ts";

const LF = 10;

const SIZE = 0;
const EXTENSION = 1; // to the line's end
const DATA = 2;
const DATA_END = 3; // CR and LF
const TRAILERS = 4;

export class Dechunker {
  /** The trailer section, in HTTP/2's form, once the body is over. */
  #trailers = "";
  #state = SIZE;
  #left = 0;

  get trailers(): string {
    return canonicalLines(this.#trailers);
  }

  /** Calls `take` for each run of the body's own bytes in `bytes[start, end)`. */
  read(
    bytes: Buffer,
    start: number,
    end: number,
    take: (bytes: Buffer, start: number, end: number) => void,
  ): void {
    let at = start;
    while (at < end) {
      const byte = bytes[at] ?? 0;
      switch (this.#state) {
        case SIZE: {
          const digit = hexValue[byte] ?? 255;
          if (digit !== 255) this.#left = this.#left * 16 + digit;
          else this.#state = EXTENSION;
          if (digit !== 255) at++;
          break;
        }
        case EXTENSION:
          at++;
          if (byte === LF) this.#state = this.#left === 0 ? TRAILERS : DATA;
          break;
        case DATA: {
          const taken = Math.min(this.#left, end - at);
          take(bytes, at, at + taken);
          this.#left -= taken;
          at += taken;
          if (this.#left === 0) this.#state = DATA_END;
          break;
        }
        case DATA_END:
          at++;
          if (byte === LF) this.#state = SIZE;
          break;
        default:
          this.#trailers += bytes.toString("latin1", at, end);
          if (this.#trailers.endsWith("\r\n") && isEmptyLineAtEnd(this.#trailers)) {
            this.#trailers = this.#trailers.slice(0, -2);
          }
          at = end;
      }
    }
  }
}

function isEmptyLineAtEnd(text: string): boolean {
  return text === "\r\n" || text.endsWith("\r\n\r\n");
}
