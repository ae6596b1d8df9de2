/**
 * Reads whole messages out of byte sequences: what the tests, and whoever looks at a capture, want of the parsers.
 *
 * The data path does not come this way; it works on heads and bodies in place. Here a head that was cut is joined
 * first.
 */

import { BodyReader } from "./body.ts";
import { requestFraming, responseFraming } from "./framing.ts";
import { HeadParser } from "./head.ts";
import type { HttpProblem } from "./problem.ts";

export interface ReadMessage {
  readonly startLine: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Bytes of the body as they stood on the wire, framing included. */
  readonly bodyBytes: number;
  /** Where the message ends, counted from the first byte of all. */
  readonly end: number;
}

export interface Reading {
  readonly messages: readonly ReadMessage[];
  readonly problem: HttpProblem | undefined;
  /** Bytes of an unfinished message at the end. */
  readonly isCut: boolean;
}

// Used again and again: reading is over when the call is.
const parsers = { request: new HeadParser("request"), response: new HeadParser("response") };

/** Reads the messages in `chunks`, each chunk as one arrival. Every response is taken for an answer to GET. */
export function readMessages(kind: "request" | "response", chunks: readonly Uint8Array[]): Reading {
  const messages: ReadMessage[] = [];
  const parser = parsers[kind];
  parser.reset();
  const body = new BodyReader();
  let head = new Uint8Array(0);
  let current: Open | undefined;
  let passed = 0;
  const stopped = (problem: HttpProblem): Reading => ({ messages, problem, isCut: false });
  for (const chunk of chunks) {
    let at = 0;
    while (at < chunk.length) {
      if (current === undefined) {
        const before = head.length;
        head = join(head, chunk.subarray(at));
        if (!parser.execute(head, 0, head.length)) {
          if (parser.problem !== undefined) return stopped(parser.problem);
          break;
        }
        at += parser.headEnd - before;
        current = describe(parser, head);
        body.begin(kind === "request" ? requestFraming(parser) : responseFraming(parser, "GET"));
        head = new Uint8Array(0);
        parser.reset();
      }
      const end = body.advance(chunk, at, chunk.length);
      current.bodyBytes += end - at;
      at = end;
      if (body.problem !== undefined) return stopped(body.problem);
      if (body.isDone) {
        current.end = passed + at;
        messages.push(current);
        current = undefined;
      }
    }
    passed += chunk.length;
  }
  return { messages, problem: undefined, isCut: head.length > 0 || current !== undefined };
}

interface Open {
  startLine: string;
  fields: [string, string][];
  bodyBytes: number;
  end: number;
}

function describe(parser: HeadParser, bytes: Uint8Array): Open {
  const text = (start = 0, end = 0) => latin1(bytes, start, end);
  const fields: [string, string][] = [];
  for (let i = 0; i < parser.count; i++) {
    const at = i * 4;
    const { slots } = parser;
    fields.push([text(slots[at], slots[at + 1]), text(slots[at + 2], slots[at + 3])]);
  }
  return { startLine: text(parser.lineStart, parser.startLineEnd), fields, bodyBytes: 0, end: 0 };
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i] ?? 0);
  return text;
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
