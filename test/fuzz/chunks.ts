/**
 * Chunked bodies: what goes on as it came (`BodyReader`), and what is translated for HTTP/2 (`Dechunker`).
 *
 * For every body that is taken: it comes out the same however the bytes are cut; the translation's bytes and trailers are
 * those that a reader finds who knows nothing but the grammar; and nothing behind the body is taken with it.
 */

import { seededRandom } from "../../src/base/random.ts";
import { Dechunker } from "../../src/proxy/codec/http2/dechunker.ts";
import { BodyReader } from "../../src/wire/http1/body.ts";
import { canonicalLines } from "../../src/wire/http2/lines.ts";
import type { FuzzTarget } from "./target.ts";

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
const random = seededRandom(7);

export const chunkedBodies: FuzzTarget = {
  name: "http1 chunked bodies",
  corpus: {
    seeds: [
      "5\r\nhello\r\n0\r\n\r\n",
      "5;a=b\r\nhello\r\n00\r\nX-T: v\r\nX-U:\tw\r\n\r\nGET / HTTP/1.1\r\n",
      'a;x="q\\"\r";y\r\n0123456789\r\n1\r\n\r\r\n0;e\r\n\r\n',
      "000001\r\n\n\r\n2\r\n\r\n\r\n0\r\ngrpc-status: 0\r\n\r\n",
    ].map(latin1),
    dictionary: [
      "\r\n",
      "\n",
      "0\r\n\r\n",
      "0\r\n",
      "1\r\nx\r\n",
      ";a=b",
      ';a="b\\""',
      "X-T: v\r\n",
      "Content-Length: 5\r\n",
      " folded\r\n",
      "fffffffffffff",
      "0x1",
    ].map(latin1),
  },
  check(input) {
    const bytes = Buffer.from(input);
    const whole = read([bytes]);
    const cut = Math.floor(random() * (bytes.length + 1));
    const inTwo = read([bytes.subarray(0, cut), bytes.subarray(cut)]);
    if (!isSame(whole, inTwo)) throw new Error(`cut at ${cut} it is read differently`);
    if (!whole.isDone) return false;
    const plain = decode(bytes.toString("latin1"));
    if (plain === undefined || !isSame(whole, { ...plain, isDone: true })) {
      throw new Error(`by the grammar it is ${JSON.stringify(plain)}, here ${show(whole)}`);
    }
    return true;
  },
};

interface Outcome {
  readonly isDone: boolean;
  /** Where the body ends. */
  readonly end: number;
  readonly content: string;
  readonly trailers: string;
}

function read(parts: readonly Buffer[]): Outcome {
  const body = new BodyReader();
  const dechunker = new Dechunker();
  body.begin({ kind: "chunked" });
  let end = 0;
  let content = "";
  for (const part of parts) {
    if (body.isDone || body.problem !== undefined) break;
    const taken = body.advance(part, 0, part.length);
    dechunker.read(part, 0, taken, (bytes, from, to) => {
      content += bytes.toString("latin1", from, to);
    });
    end += taken;
  }
  const isDone = body.isDone && body.problem === undefined;
  return { isDone, end, content, trailers: isDone ? dechunker.trailers : "" };
}

/** By RFC 9112 §7.1, of bytes that begin with a whole body. */
function decode(text: string): Omit<Outcome, "isDone"> | undefined {
  let at = 0;
  let content = "";
  for (;;) {
    const line = /^([0-9A-Fa-f]+)(?:;[^\n]*)?\r\n/.exec(text.slice(at));
    if (line === null) return undefined;
    at += line[0].length;
    const size = Number.parseInt(line[1] ?? "", 16);
    if (size === 0) break;
    content += text.slice(at, at + size);
    if (text.slice(at + size, at + size + 2) !== "\r\n") return undefined;
    at += size + 2;
  }
  const section = /^(?:[^\r\n]+\r\n)*(?=\r\n)/.exec(text.slice(at));
  if (section === null) return undefined;
  return { end: at + section[0].length + 2, content, trailers: canonicalLines(section[0]) };
}

function isSame(a: Outcome, b: Outcome): boolean {
  // What was not taken has no end that means anything: it may be found wrong at the cut or behind it.
  if (!a.isDone || !b.isDone) return a.isDone === b.isDone;
  return a.end === b.end && a.content === b.content && a.trailers === b.trailers;
}

const show = (outcome: Outcome): string => JSON.stringify(outcome);
