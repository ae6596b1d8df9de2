/**
 * Reads whole messages out of byte sequences: what the tests, and whoever looks at a capture, want of the parsers.
 *
 * The data path does not come this way; it works on heads and bodies in place. Here a head that was cut is joined first.
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
}

export interface Reading {
  readonly messages: readonly ReadMessage[];
  readonly problem: HttpProblem | undefined;
  /** Bytes of an unfinished message at the end. */
  readonly isCut: boolean;
}

/** Reads the messages in `chunks`, each chunk as one arrival. Every response is taken for an answer to GET. */
export function readMessages(kind: "request" | "response", chunks: readonly Uint8Array[]): Reading {
  const messages: ReadMessage[] = [];
  const parser = new HeadParser(kind);
  const body = new BodyReader();
  let head = new Uint8Array(0);
  let current: { startLine: string; fields: [string, string][]; bodyBytes: number } | undefined;
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
        messages.push(current);
        current = undefined;
      }
    }
  }
  return { messages, problem: undefined, isCut: head.length > 0 || current !== undefined };
}

function describe(
  parser: HeadParser,
  bytes: Uint8Array,
): { startLine: string; fields: [string, string][]; bodyBytes: number } {
  const text = (start: number, end: number) =>
    Array.from(bytes.subarray(start, end), (byte) => String.fromCharCode(byte)).join("");
  const fields: [string, string][] = [];
  for (let i = 0; i < parser.count; i++) {
    const [a = 0, b = 0, c = 0, d = 0] = parser.slots.subarray(i * 4, i * 4 + 4);
    fields.push([text(a, b), text(c, d)]);
  }
  return { startLine: text(parser.lineStart, parser.startLineEnd), fields, bodyBytes: 0 };
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
