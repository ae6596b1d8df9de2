/**
 * Records of TLS once the handshake is over. Random bytes never have the right tag, so an input says what is sealed: for each
 * record a byte for its type, two for the length, and the content; after the last of them, maybe, which bit of the wire
 * somebody changes.
 *
 * For every input: opening never throws; what is read is the beginning of the data that was sealed, and not all of it where
 * a bit was changed; the wire cut in two says the same as whole; and what is written afterwards, answers to changes of keys
 * first, is read by the other end.
 */

import { seededRandom } from "../../src/base/random.ts";
import { openSsl } from "../../src/proxy/tls/openssl.ts";
import { maxPlainBytes, maxSealedBytes } from "../../src/proxy/tls/record-layer.ts";
import { Records } from "../../src/proxy/tls/records.ts";
import { TrafficKeys } from "../../src/proxy/tls/traffic-keys.ts";
import type { FuzzTarget } from "./target.ts";

const random = seededRandom(19);
const [toUs, fromUs] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const aes128 = 0x1301;
// Types of content.
const alert = 21;
const message = 22;
const data = 23;
/** Fewer than the records without data that a connection bears, which it counts by reads. */
const maxRecords = 12;

const text = Array.from(Buffer.from("a request"));
const ticket = [4, 0, 0, 6, 1, 2, 3, 4, 5, 6];
const update = [24, 0, 0, 1, 0];
const updateAsked = [24, 0, 0, 1, 1];

function record(type: number, content: readonly number[]): Uint8Array {
  return Buffer.from([type, content.length >> 8, content.length & 255, ...content]);
}

export const tlsRecords: FuzzTarget = {
  name: "tls records",
  corpus: {
    seeds: [
      [record(data, text), record(data, [...text, ...text]), record(alert, [1, 0])],
      [
        record(message, updateAsked),
        record(data, text),
        record(message, update),
        record(data, text),
      ],
      [record(message, ticket), record(data, text), record(message, [...ticket, ...ticket])],
      [record(message, ticket.slice(0, 3)), record(message, ticket.slice(3)), record(data, text)],
      [record(data, []), record(alert, [1, 90]), record(data, text), Buffer.of(200)],
    ].map((records) => Buffer.concat(records)),
    dictionary: [
      record(data, text),
      record(message, updateAsked),
      record(message, ticket),
      record(alert, [2, 42]),
      Buffer.from(update),
    ],
  },
  check(bytes) {
    const { wire, said, isChanged } = sealed(Buffer.from(bytes));
    const cut = Math.floor(random() * (wire.length + 1));
    const whole = opened([wire]);
    const inTwo = opened([wire.subarray(0, cut), wire.subarray(cut)]);
    if (whole.read !== inTwo.read || whole.error !== inTwo.error) {
      throw new Error(`cut at ${cut}: ${JSON.stringify(inTwo)}, not ${JSON.stringify(whole)}`);
    }
    if (!said.startsWith(whole.read)) throw new Error(`read ${whole.read} of ${said}`);
    const isWhole = said.length === whole.read.length && whole.error === "";
    if (isChanged && isWhole) throw new Error("a changed bit made no difference");
    return isWhole && said !== "";
  },
};

const wireRoom = Buffer.alloc(maxPlainBytes);

/** The wire, the data in it, and whether a bit of a record with data was changed. */
function sealed(bytes: Buffer): { wire: Buffer; said: string; isChanged: boolean } {
  const keys = TrafficKeys.of(openSsl(), aes128, toUs, 0);
  const messages = new Messages();
  const dataAt: number[] = [];
  let said = "";
  let length = 0;
  let at = 0;
  for (let i = 0; i < maxRecords && at + 3 <= bytes.length; i++) {
    const type = bytes[at] as number;
    const content = bytes.subarray(at + 3, at + 3 + (bytes.readUInt16BE(at + 1) & 0x3ff));
    at += 3 + content.length;
    const inner = unpadded(type, content);
    if (inner.type === data && inner.content.length > 0) dataAt.push(length);
    if (inner.type === data) said += inner.content.toString("latin1");
    length += keys.seal(type, { bytes: content, at: 0, length: content.length }, wireRoom, length);
    if (inner.type === message && messages.endInUpdate(inner.content)) keys.update();
  }
  const wire = Buffer.from(wireRoom.subarray(0, length));
  const [bit] = bytes.subarray(at);
  const changed = dataAt[0];
  if (bit === undefined || changed === undefined) return { wire, said, isChanged: false };
  const where = changed + (bit % (wire.length - changed));
  wire[where] = (wire[where] as number) ^ (1 << (bit & 7));
  return { wire, said, isChanged: where < (dataAt.at(-1) as number) + 5 };
}

/** A type of 0 is padding, and the last byte before it that is none the type. */
function unpadded(type: number, content: Buffer): { type: number; content: Buffer } {
  if (type !== 0 || content.length === 0) return { type, content };
  return unpadded(content.at(-1) as number, content.subarray(0, -1));
}

/** Messages as they go by, in any number of records. */
class Messages {
  #begun: Buffer = Buffer.alloc(0);

  /** Whether a change of keys ends with this content. */
  endInUpdate(content: Buffer): boolean {
    let rest = Buffer.concat([this.#begun, content]);
    let isUpdate = false;
    while (rest.length >= 4 && rest.length >= 4 + rest.readUIntBE(1, 3)) {
      isUpdate = rest[0] === update[0];
      rest = rest.subarray(4 + rest.readUIntBE(1, 3));
    }
    this.#begun = rest;
    return isUpdate && rest.length === 0;
  }
}

interface Opened {
  readonly read: string;
  readonly error: string;
}

const plain = Buffer.alloc(maxPlainBytes);
const answers = Buffer.alloc(maxSealedBytes);
const answer = Buffer.from("an answer");

/** By a client, who takes tickets, too. */
function opened(reads: readonly Buffer[]): Opened {
  const keysOf = (secret: Buffer) => TrafficKeys.of(openSsl(), aes128, secret, 0);
  const options = { isServer: false, recordsPerKey: 1_000 };
  const ours = new Records({ reading: keysOf(toUs), writing: keysOf(fromUs), ...options });
  const theirs = new Records({ reading: keysOf(fromUs), writing: keysOf(toUs), ...options });
  let read = "";
  for (const bytes of reads) {
    read += plain.toString("latin1", 0, ours.open(bytes, bytes.length, plain));
    const reply = ours.takeReply();
    if (reply !== undefined) theirs.open(reply, reply.length, plain);
  }
  if (ours.error === undefined) {
    const length = ours.seal(answer, 0, answer.length, answers);
    const back = plain.toString("latin1", 0, theirs.open(answers, length, plain));
    if (back !== answer.toString()) throw new Error(`answered ${back}: ${theirs.error}`);
  }
  return { read, error: ours.error?.message ?? "" };
}
