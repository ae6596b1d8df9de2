/**
 * Heads out of what arrives on one connection of HTTP/1.1, whole or in pieces.
 *
 * Nearly all arrive whole, and are done with when the read is: so one parser serves all connections. A head of which more is to
 * come, or that is still looked at, has the parser for itself, and the others get another one.
 *
 * Not here: what is done with a head, and whether one is waited for at all (downstream.ts, upstream.ts).
 */

import type { HeadParser } from "../../wire/http1/head.ts";
import type { HttpProblem } from "../../wire/http1/problem.ts";
import { PartialHead } from "./partial-head.ts";

/** The parser that connections of one kind share. */
export class SharedParser {
  readonly #make: () => HeadParser;
  current: HeadParser;

  constructor(make: () => HeadParser) {
    this.#make = make;
    this.current = make();
  }

  replace(): void {
    this.current = this.#make();
  }
}

export class HeadReader {
  readonly #shared: SharedParser;
  /** What has come of a head that is not whole. */
  #partial: PartialHead | undefined;

  constructor(shared: SharedParser) {
    this.#shared = shared;
  }

  /**
   * Reads on at `bytes[start]`. The head that is whole now, at `start`, or where it came in pieces in `takePieces()`;
   * undefined: more must come, unless there is a `problem`.
   */
  read(bytes: Buffer, start: number, end: number): HeadParser | undefined {
    const partial = this.#partial;
    if (partial !== undefined) return partial.read(bytes, start, end) ? partial.parser : undefined;
    const parser = this.#shared.current;
    parser.reset();
    if (parser.execute(bytes, start, end)) return parser;
    if (parser.problem === undefined) {
      this.#shared.replace();
      this.#partial = new PartialHead(parser, bytes, start, end);
    }
    return undefined;
  }

  /** Why the last read found no head; asked at once. */
  get problem(): HttpProblem | undefined {
    return (this.#partial?.parser ?? this.#shared.current).problem;
  }

  /** The bytes of the head that was just found, with all that came behind it; undefined: they are where they were read. */
  takePieces(): PartialHead | undefined {
    const partial = this.#partial;
    this.#partial = undefined;
    return partial;
  }

  /** This head will still be looked at when others come. */
  keep(head: HeadParser): void {
    if (head === this.#shared.current) this.#shared.replace();
  }

  get heldBytes(): number {
    return this.#partial?.heldBytes ?? 0;
  }

  /** Nothing is waited for any more. */
  drop(): void {
    this.#partial = undefined;
  }
}
