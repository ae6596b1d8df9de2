/**
 * HTTP/2: header blocks, and both ends of a connection.
 *
 * For every input: reading never throws; it comes out the same however the bytes are cut; what a peer can make us hold or
 * answer stays bounded; a head that gets through is one that HTTP/1.1 could have carried; and fields that were decoded,
 * encoded again and decoded, are the same.
 */

import { seededRandom } from "../../src/base/random.ts";
import { HpackDecoder } from "../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../src/wire/hpack/encoder.ts";
import { Output } from "../../src/wire/hpack/output.ts";
import type { Field } from "../../src/wire/hpack/static-table.ts";
import { readMessages } from "../../src/wire/http1/read-messages.ts";
import { Http2Connection } from "../../src/wire/http2/connection.ts";
import type { Http2Events } from "../../src/wire/http2/events.ts";
import { putFrameHeader } from "../../src/wire/http2/frame-writer.ts";
import { clientPreface } from "../../src/wire/http2/protocol.ts";
import type { Http2Stream } from "../../src/wire/http2/stream.ts";
import type { Role } from "../../src/wire/http2/stream-table.ts";
import type { TranslatedHead } from "../../src/wire/http2/translated-head.ts";
import { coreVocabulary } from "../../src/wire/http2/vocabulary.ts";
import type { Corpus } from "./mutate.ts";
import type { FuzzTarget } from "./target.ts";

// ---- corpus --------------------------------------------------------------------------------------

function block(...lines: readonly string[]): Uint8Array {
  const out = new Output();
  const encoder = new HpackEncoder();
  for (const line of lines) encoder.encodeLine(out, line);
  return out.take();
}

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Uint8Array {
  const out = new Output();
  putFrameHeader(out, payload.length, type, flags, streamId);
  out.append(payload, 0, payload.length);
  return out.take();
}

const hex = (text: string): Uint8Array => Buffer.from(text, "hex");
const pseudo = [":method: POST", ":scheme: http", ":path: /a?b", ":authority: a"];
const request = block(...pseudo, "content-type: application/grpc", "te: trailers", "x-y: z");
const get = block(":method: GET", ":scheme: http", ":path: /", ":authority: a", "cookie: a=b");
const ok = block(":status: 200", "content-type: text/plain", "x-y: z");
const trailers = block("grpc-status: 0", "grpc-message: fine");

const settings = frame(4, 0, 0, hex("000400010000"));
const control = [
  settings,
  frame(4, 1, 0, hex("")),
  frame(6, 0, 0, hex("0102030405060708")),
  frame(8, 0, 0, hex("00010000")),
  frame(8, 0, 1, hex("00010000")),
  frame(2, 0, 1, hex("0000000010")),
  frame(3, 0, 1, hex("00000008")),
  frame(7, 0, 0, hex("0000000100000000")),
  frame(0, 1, 1, Buffer.from("hello")),
  frame(0, 8, 1, hex("02616263000000")),
  frame(9, 4, 1, trailers),
  frame(5, 4, 1, hex("0000000288")),
  frame(1, 5, 1, trailers),
  frame(99, 0, 0, hex("01")),
];

function corpus(head: Uint8Array, other: Uint8Array): Corpus {
  const data = frame(0, 0, 1, Buffer.from("hello"));
  return {
    dictionary: [
      ...control,
      head,
      frame(1, 4, 1, head),
      frame(1, 5, 3, other),
      hex("000000"),
      hex("ffffff"),
    ],
    seeds: [
      Buffer.concat([frame(1, 5, 1, other)]),
      Buffer.concat([frame(1, 4, 1, head), data, frame(1, 5, 1, trailers)]),
      Buffer.concat([frame(1, 0, 1, head.subarray(0, 9)), frame(9, 4, 1, head.subarray(9)), data]),
      Buffer.concat([frame(1, 4, 1, head), frame(1, 5, 3, other), data, frame(0, 1, 1, hex(""))]),
      Buffer.concat([
        frame(1, 0x2c, 1, Buffer.concat([hex("0200000010ff"), head, hex("0000")])),
        data,
      ]),
      Buffer.concat(control),
    ],
  };
}

// ---- header blocks -------------------------------------------------------------------------------

class Lines {
  readonly fields: Field[] = [];
  take(field: Field): void {
    this.fields.push(field);
  }
}

export const hpackBlocks: FuzzTarget = {
  name: "http2 header blocks",
  corpus: {
    dictionary: [
      hex("3fe11f"),
      hex("20"),
      hex("82"),
      hex("be"),
      hex("4002783a"),
      hex("1001780179"),
      hex("7f80ff7f"),
    ],
    seeds: [
      request,
      get,
      ok,
      trailers,
      hex("828684418cf1e3c2e5f23a6ba0ab90f4ff"),
      hex("4803333032580770726976617465"),
    ],
  },
  check(bytes) {
    const decoder = new HpackDecoder();
    const read = new Lines();
    const problem = decoder.decode(bytes, 0, bytes.length, read);
    if (decoder.tableBytes > 4096) throw new Error(`a table of ${decoder.tableBytes} bytes`);
    if (problem !== undefined) return false;
    const out = new Output();
    const encoder = new HpackEncoder();
    // Names that hold a colon, or none, cannot be lines; heads with them never get here.
    const lines = read.fields.filter(({ name }) => name !== "" && !name.includes(":", 1));
    for (const { name, value } of lines) encoder.encodeLine(out, `${name}: ${value}`);
    const again = new Lines();
    const encoded = out.take();
    if (new HpackDecoder().decode(encoded, 0, encoded.length, again) !== undefined) {
      throw new Error("our own block is none");
    }
    for (const [i, { name, value }] of lines.entries()) {
      const other = again.fields[i];
      if (other?.name !== name || other.value !== value) throw new Error(`field ${i} differs`);
    }
    return true;
  },
};

// ---- connections ---------------------------------------------------------------------------------

/** What happened, in words, so that two readings can be compared. */
class Witness implements Http2Events<undefined> {
  readonly happened: string[] = [];
  #data = 0;
  #heads = 0;

  get heads(): number {
    return this.#heads;
  }
  onHead(stream: Http2Stream<undefined>, head: TranslatedHead, isEnd: boolean): void {
    this.#flush();
    this.#heads++;
    this.happened.push(`head ${stream.id} ${isEnd} ${head.text}`);
    checkHead(head);
  }
  onData(
    stream: Http2Stream<undefined>,
    _bytes: Uint8Array,
    start: number,
    end: number,
    isEnd: boolean,
  ): void {
    // How data is cut is the reader's affair; where it ends is not.
    this.#data += end - start;
    if (isEnd) this.happened.push(`end ${stream.id} ${this.#data}`);
  }
  onTrailers(stream: Http2Stream<undefined>, lines: string): void {
    this.happened.push(`trailers ${stream.id} ${lines}`);
  }
  onReset(stream: Http2Stream<undefined>, code: number): void {
    this.#flush();
    this.happened.push(`reset ${stream.id} ${code}`);
  }
  onHeadTooLarge(stream: Http2Stream<undefined>): void {
    this.happened.push(`large ${stream.id}`);
  }
  onDrained(): void {}
  onPong(): void {}

  onGoaway(code: number): void {
    this.happened.push(`goaway ${code}`);
  }
  onFatal(code: number): void {
    this.#flush();
    this.happened.push(`fatal ${code}`);
  }
  #flush(): void {
    if (this.#data > 0) this.happened.push(`data ${this.#data}`);
    this.#data = 0;
  }
}

/** A request that passes must be one and the same message in HTTP/1.1, too. */
function checkHead(head: TranslatedHead): void {
  const isRequest = head.status === 0;
  if (isRequest && head.text.startsWith("CONNECT ")) return;
  const text = Buffer.from(head.text, "latin1");
  const { messages, problem } = readMessages(isRequest ? "request" : "response", [text]);
  const isLong = head.contentLength > 0 || (!isRequest && head.status >= 200);
  if (problem !== undefined)
    throw new Error(`HTTP/1.1 finds ${problem} in ${JSON.stringify(head.text)}`);
  if (messages.length > 1 || (messages.length === 0 && !isLong)) {
    throw new Error(`HTTP/1.1 finds ${messages.length} messages in ${JSON.stringify(head.text)}`);
  }
}

const opening: Readonly<Record<Role, Uint8Array>> = {
  server: Buffer.concat([Buffer.from(clientPreface), settings]),
  client: settings,
};
const line = { method: "POST", scheme: "http", authority: "a", path: "/" };

function observe(role: Role, parts: readonly Uint8Array[]): Witness {
  const witness = new Witness();
  const connection = new Http2Connection<undefined>(role, witness, { vocabulary: coreVocabulary });
  if (role === "client") {
    for (let i = 0; i < 3; i++) connection.request(undefined, line, "", i > 0);
  }
  connection.read(opening[role], 0, opening[role].length, 1);
  for (const part of parts) connection.read(part, 0, part.length, 1);
  const { length } = connection.sender.out;
  if (length > 64 * 1024) throw new Error(`${length} bytes of answers to one input`);
  if (connection.openStreams > 64) throw new Error(`${connection.openStreams} streams`);
  return witness;
}

function connectionTarget(role: Role, seeds: Corpus): FuzzTarget {
  const random = seededRandom(7);
  return {
    name: `http2 ${role}`,
    corpus: seeds,
    check(bytes) {
      const whole = observe(role, [bytes]);
      const cut = Math.floor(random() * (bytes.length + 1));
      const inTwo = observe(role, [bytes.slice(0, cut), bytes.slice(cut)]);
      const [a, b] = [whole.happened.join("\n"), inTwo.happened.join("\n")];
      if (a !== b) throw new Error(`cut at ${cut}:\n${a}\n--\n${b}`);
      return whole.heads > 0;
    },
  };
}

export const http2Server: FuzzTarget = connectionTarget("server", corpus(request, get));
export const http2Client: FuzzTarget = connectionTarget(
  "client",
  corpus(ok, block(":status: 204")),
);
