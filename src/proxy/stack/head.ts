/**
 * A message's head as everything behind the codecs sees it: text, and where in it things are.
 *
 * HTTP/1.1's parser fills it from bytes; a head that came in HTTP/2 is spelt as HTTP/1.1 would have been. Offsets count
 * from the text's start.
 */

export interface Head {
  /** Per field: name start, name end, value start, value end. Valid for `count` fields. */
  readonly slots: Int32Array;
  /** Per field: its mark, 0 where its name is not watched. */
  readonly marks: Uint8Array;
  readonly count: number;
  readonly lineStart: number;
  readonly headEnd: number;
  readonly methodEnd: number;
  readonly targetStart: number;
  readonly targetEnd: number;
  readonly startLineEnd: number;
  readonly minor: number;
  readonly status: number;
  /** -1: none given. */
  readonly contentLength: number;
  readonly isChunked: boolean;
  readonly upgrades: boolean;
  readonly expectsContinue: boolean;
  /** Some value has a tab before it or white space behind it. */
  readonly isLoose: boolean;
  /** Index of the first field with this mark, -1 for none. */
  fieldAt(mark: number): number;
}

/** An answer's head as it arrived, with what came of its body: the arguments of `Exchange.onResponse`. */
export interface AnswerHead {
  readonly head: Head;
  readonly text: string;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly isDone: boolean;
}
