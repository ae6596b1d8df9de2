/**
 * Names outside the cluster: asked of one upstream server, remembered for as long as it allows.
 *
 * Queries go over UDP from a socket of their own each, so that answers cannot be guessed by port, and over TCP where
 * the answer was cut. The cache is bounded by count; the oldest entry leaves first. Equal queries under way share one
 * answer.
 */

import { createSocket } from "node:dgram";
import { connect } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { MeshError } from "../../base/error.ts";
import { decodeMessage } from "../../wire/dns/decode.ts";
import { encodeMessage } from "../../wire/dns/encode.ts";
import type { DnsMessage, DnsQuestion } from "../../wire/dns/message.ts";
import { recordTypes } from "../../wire/dns/message.ts";
import { readFrames, writeFrame } from "./stream-frames.ts";

const maxEntries = 4_096;
/** Longest that anything is remembered; a wrong TTL is not forever. */
const maxTtlSeconds = 300;
const attemptMs = 1_500;
const attempts = 2;

export interface Upstream {
  resolve(question: DnsQuestion): Promise<DnsMessage>;
}

interface Entry {
  readonly until: number;
  readonly at: number;
  readonly message: DnsMessage;
}

export function forwardTo(server: string, clock: Clock): Upstream {
  const [address = "", portText = "53"] = server.split(":");
  const port = Number(portText);
  const cache = new Map<string, Entry>();
  const running = new Map<string, Promise<DnsMessage>>();

  async function ask(question: DnsQuestion): Promise<DnsMessage> {
    let failure: unknown;
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        const query = makeQuery(question);
        const answer = await overUdp(query, address, port);
        return answer.truncated ? await overTcp(query, address, port) : answer;
      } catch (error) {
        failure = error;
      }
    }
    throw new MeshError("dns.upstream.silent", `ask ${server} for ${question.name}`, {
      cause: failure,
      fault: "peer",
      retryable: true,
    });
  }

  return {
    async resolve(question) {
      const key = `${question.name.toLowerCase()} ${question.type} ${question.class}`;
      const now = clock.now();
      const known = cache.get(key);
      if (known !== undefined && known.until > now) return aged(known, now);
      let work = running.get(key);
      if (work === undefined) {
        work = ask(question).finally(() => running.delete(key));
        running.set(key, work);
      }
      const message = await work;
      const ttl = ttlOf(message);
      if (ttl > 0) {
        cache.delete(key);
        cache.set(key, { at: clock.now(), until: clock.now() + ttl * 1_000, message });
        for (const oldest of cache.keys()) {
          if (cache.size <= maxEntries) break;
          cache.delete(oldest);
        }
      }
      return message;
    },
  };
}

/** Seconds that an answer, or that there is none, may be kept; 0 for failures. */
function ttlOf(message: DnsMessage): number {
  if (message.responseCode !== 0 && message.responseCode !== 3) return 0;
  const records = message.answers.length > 0 ? message.answers : message.authorities;
  const ttls = records.map((record) =>
    record.kind === "SOA" ? Math.min(record.ttl, record.minimum) : record.ttl,
  );
  return ttls.length === 0 ? 0 : Math.min(maxTtlSeconds, ...ttls);
}

function aged(entry: Entry, now: number): DnsMessage {
  const seconds = Math.floor((now - entry.at) / 1_000);
  const older = <T extends { readonly ttl: number }>(record: T): T => ({
    ...record,
    ttl: Math.max(0, record.ttl - seconds),
  });
  const { message } = entry;
  return {
    ...message,
    answers: message.answers.map(older),
    authorities: message.authorities.map(older),
  };
}

function makeQuery(question: DnsQuestion): DnsMessage {
  return {
    id: crypto.getRandomValues(new Uint16Array(1))[0] ?? 0,
    isResponse: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    responseCode: 0,
    questions: [question],
    answers: [],
    authorities: [],
    additionals: [
      {
        kind: "other",
        type: recordTypes.OPT,
        name: "",
        class: 1_232,
        ttl: 0,
        bytes: new Uint8Array(),
      },
    ],
  };
}

function overUdp(query: DnsMessage, address: string, port: number): Promise<DnsMessage> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  return new Promise<DnsMessage>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no answer in time")), attemptMs);
    socket.on("error", reject);
    socket.on("message", (bytes) => {
      const answer = matching(bytes, query);
      if (answer === undefined) return; // not ours: somebody guesses, or an answer to an earlier try
      clearTimeout(timer);
      resolve(answer);
    });
    // A connected socket takes packets from the server only.
    socket.connect(port, address, () => socket.send(encodeMessage(query)));
    socket.once("close", () => clearTimeout(timer));
  }).finally(() => socket.close());
}

function overTcp(query: DnsMessage, address: string, port: number): Promise<DnsMessage> {
  const socket = connect(port, address);
  return new Promise<DnsMessage>((resolve, reject) => {
    socket.setTimeout(attemptMs, () => reject(new Error("no answer in time")));
    socket.on("error", reject);
    socket.once("close", () => reject(new Error("connection closed")));
    readFrames(socket, (bytes) => {
      const answer = matching(bytes, query);
      if (answer !== undefined) resolve(answer);
    });
    writeFrame(socket, encodeMessage(query));
  }).finally(() => socket.destroy());
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
