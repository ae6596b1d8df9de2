/**
 * DNS messages.
 *
 * For every input: reading throws nothing but a SyntaxError; what was read, printed, is read as the same; and what is
 * printed for a small datagram fits in one.
 */

import { decodeId, decodeMessage } from "../../src/wire/dns/decode.ts";
import { encodeMessage } from "../../src/wire/dns/encode.ts";
import {
  classInternet,
  type DnsMessage,
  type DnsRecord,
  optRecord,
  recordTypes,
  standardQuery,
} from "../../src/wire/dns/message.ts";
import type { FuzzTarget } from "./target.ts";

const hex = (text: string): Uint8Array => Buffer.from(text, "hex");
const common = { name: "a.shop.svc.cluster.local", class: classInternet, ttl: 5 };
const target = "b.shop.svc.cluster.local";
const records: readonly DnsRecord[] = [
  { ...common, kind: "A", address: "192.0.2.1" },
  { ...common, kind: "AAAA", address: "2001:db8::1" },
  { ...common, kind: "CNAME", target },
  { ...common, kind: "MX", preference: 1, target },
  { ...common, kind: "SRV", priority: 0, weight: 1, port: 80, target },
  {
    ...common,
    kind: "SOA",
    primary: target,
    mailbox: "hostmaster.example",
    serial: 1,
    refresh: 2,
    retry: 3,
    expire: 4,
    minimum: 5,
  },
  { ...common, kind: "other", type: 16, bytes: hex("0161") },
];
const query = standardQuery(7, { name: common.name, type: recordTypes.A, class: classInternet });
const answer: DnsMessage = { ...query, isResponse: true, answers: records };
const smallest = 512;

export const dnsMessages: FuzzTarget = {
  name: "dns messages",
  corpus: {
    seeds: [query, answer, { ...query, additionals: [optRecord(1232)] }].map((message) =>
      encodeMessage(message),
    ),
    dictionary: ["c00c", "c0ff", "00", "3f", "0000290000", "00010001", "ffff", "015c"].map(hex),
  },
  check(bytes) {
    decodeId(bytes);
    const read = readOrNot(bytes);
    if (read === undefined) return false;
    const printed = encodeMessage(read);
    const again = readOrNot(printed);
    // A message that was longer than one can be is cut when printed, and says so.
    if (again?.truncated === true && !read.truncated) return true;
    if (JSON.stringify(again) !== JSON.stringify(inOrder(read))) {
      throw new Error(`${JSON.stringify(read)} is read as ${JSON.stringify(again)}`);
    }
    const { length } = encodeMessage(read, smallest);
    if (length > smallest && read.questions.length <= 1 && optBytes(read) === 0) {
      throw new Error(`${length} bytes where ${smallest} may be`);
    }
    return true;
  },
};

function readOrNot(bytes: Uint8Array): DnsMessage | undefined {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** OPT records are printed last. */
function inOrder(message: DnsMessage): DnsMessage {
  const isOpt = (record: DnsRecord): boolean =>
    record.kind === "other" && record.type === recordTypes.OPT;
  const { additionals } = message;
  return {
    ...message,
    additionals: [
      ...additionals.filter((record) => !isOpt(record)),
      ...additionals.filter((record) => isOpt(record)),
    ],
  };
}

function optBytes({ additionals }: DnsMessage): number {
  return additionals.filter((each) => each.kind === "other" && each.type === recordTypes.OPT)
    .length;
}
