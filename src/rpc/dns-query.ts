/**
 * One question to one name server: over UDP, and over TCP where the answer was cut.
 *
 * Each goes from a socket of its own, so that answers cannot be guessed by port.
 *
 * Not here: which servers to ask, and remembering answers (the agent's upstream, the proxy's names).
 */

import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { decodeMessage } from "../wire/dns/decode.ts";
import { encodeMessage } from "../wire/dns/encode.ts";
import {
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  optRecord,
  standardQuery,
} from "../wire/dns/message.ts";
import { readFrames, writeFrame } from "./dns-frames.ts";

export interface NameServerAddress {
  readonly address: string;
  readonly port: number;
  /** Runs what opens a socket to it, where that takes being in another network; absent: at once. */
  readonly opening?: <S>(open: () => S) => S;
}

const atOnce = <S>(open: () => S): S => open();

/** Largest answer over UDP that is asked for; RFC 9715 advises this one. */
const maxUdpBytes = 1_232;

/**
 * The answer, whatever its code; throws when none has come in `withinMs`, or in that time again over TCP. `options`: of
 * the query's OPT record.
 */
export async function queryServer(
  server: NameServerAddress,
  question: DnsQuestion,
  withinMs: number,
  options?: Uint8Array,
): Promise<DnsMessage> {
  const query = makeQuery(question, optRecord(maxUdpBytes, options));
  const answer = await overUdp(query, server, withinMs);
  return answer.truncated ? await overTcp(query, server, withinMs) : answer;
}

function makeQuery(question: DnsQuestion, opt: DnsRecord): DnsMessage {
  const id = crypto.getRandomValues(new Uint16Array(1))[0] ?? 0;
  return standardQuery(id, question, [opt]);
}

function overUdp(
  query: DnsMessage,
  { address, port, opening = atOnce }: NameServerAddress,
  withinMs: number,
): Promise<DnsMessage> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  return new Promise<DnsMessage>((resolve, reject) => {
    const timer = timeOut(withinMs, reject);
    socket.once("close", () => clearTimeout(timer));
    socket.on("error", reject);
    socket.on("message", (bytes) => {
      const answer = matching(bytes, query);
      if (answer === undefined) return; // not ours: somebody guesses, or an answer to an earlier try
      resolve(answer);
    });
    // A connected socket takes packets from the server only.
    // Where it cannot be connected, Node calls a callback of connect() all the same.
    socket.once("connect", () => socket.send(encodeMessage(query)));
    opening(() => socket.connect(port, address));
  }).finally(() => socket.close());
}

function overTcp(
  query: DnsMessage,
  { address, port, opening = atOnce }: NameServerAddress,
  withinMs: number,
): Promise<DnsMessage> {
  const socket = opening(() => connect(port, address));
  return new Promise<DnsMessage>((resolve, reject) => {
    const timer = timeOut(withinMs, reject);
    socket.on("error", reject);
    socket.once("close", () => {
      clearTimeout(timer);
      reject(new Error("connection closed"));
    });
    readFrames(socket, (bytes) => {
      const answer = matching(bytes, query);
      if (answer !== undefined) resolve(answer);
    });
    writeFrame(socket, encodeMessage(query));
  }).finally(() => socket.destroy());
}

/** A process that stood still finds its timers over before it reads: an answer that has come by then is read first. */
function timeOut(withinMs: number, reject: (error: Error) => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(() => reject(new Error("no answer in time"))), withinMs);
}

function matching(bytes: Uint8Array, query: DnsMessage): DnsMessage | undefined {
  try {
    const answer = decodeMessage(bytes);
    const [asked] = query.questions;
    const [echoed] = answer.questions;
    const same =
      answer.isResponse &&
      answer.id === query.id &&
      echoed?.type === asked?.type &&
      echoed?.name.toLowerCase() === asked?.name.toLowerCase();
    return same ? answer : undefined;
  } catch {
    return undefined;
  }
}
