/**
 * Names outside the cluster: asked of upstream servers, remembered for as long as they allow.
 *
 * The server that answered last is asked first; one that is silent hands its turn on to the next.
 * Queries go over UDP from a socket of their own each, so that answers cannot be guessed by port, and over TCP where
 * the answer was cut. The cache is bounded by count; the oldest entry leaves first. Equal queries under way share one
 * answer.
 */

import { createSocket } from "node:dgram";
import { connect, isIP } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { MeshError, present } from "../../base/error.ts";
import { decodeMessage } from "../../wire/dns/decode.ts";
import { encodeMessage } from "../../wire/dns/encode.ts";
import type { DnsMessage, DnsQuestion } from "../../wire/dns/message.ts";
import { recordTypes, responseCodes, standardQuery } from "../../wire/dns/message.ts";
import { readFrames, writeFrame } from "./stream-frames.ts";

const maxEntries = 4_096;
/** Longest that anything is remembered; a wrong TTL is not forever. */
const maxTtlSeconds = 300;
const attemptMs = 1_500;
const fewestAttempts = 2;

export interface Upstream {
  resolve(question: DnsQuestion): Promise<Resolved>;
}

export interface Resolved {
  readonly message: DnsMessage;
  readonly by: "cache" | "upstream";
}

interface Entry {
  readonly until: number;
  readonly at: number;
  readonly message: DnsMessage;
}

export interface UpstreamServer {
  readonly address: string;
  readonly port: number;
}

/** At least one server. */
export function forwardTo(servers: readonly UpstreamServer[], clock: Clock): Upstream {
  let best = 0;
  const cache = new Map<string, Entry>();
  const running = new Map<string, Promise<DnsMessage>>();

  async function ask(question: DnsQuestion): Promise<DnsMessage> {
    let failure: unknown;
    const first = best;
    for (let attempt = 0; attempt < Math.max(fewestAttempts, servers.length); attempt++) {
      const turn = (first + attempt) % servers.length;
      const { address, port } = present(servers[turn], "an upstream name server");
      try {
        const query = makeQuery(question);
        const answer = await overUdp(query, address, port);
        const whole = answer.truncated ? await overTcp(query, address, port) : answer;
        // A server that fails is no better than one that is silent, while there is another.
        if (whole.responseCode === responseCodes.serverFailure && attempt + 1 < servers.length) {
          continue;
        }
        best = turn;
        return whole;
      } catch (error) {
        failure = error;
      }
    }
    throw new MeshError(
      "dns.upstream.silent",
      `ask ${servers.map(({ address }) => address).join(", ")} for ${question.name}`,
      {
        cause: failure,
        fault: "peer",
        retryable: true,
      },
    );
  }

  return {
    async resolve(question) {
      const key = `${question.name.toLowerCase()} ${question.type} ${question.class}`;
      const now = clock.now();
      const known = cache.get(key);
      if (known !== undefined && known.until > now) {
        return { message: aged(known, now), by: "cache" };
      }
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
      return { message, by: "upstream" };
    },
  };
}

/** `address`, `address:port` or `[address]:port`, with commas between several. */
export function parseServers(text: string): readonly UpstreamServer[] {
  return text.split(",").map((each) => parseServer(each.trim()));
}

function parseServer(text: string): UpstreamServer {
  const [, bracketed, plain, port = "53"] =
    /^(?:\[([^\]]+)\]|([^:]+|[^:]*:[^:]*:.*?))(?::(\d+))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  if (isIP(address) === 0 || Number(port) > 65_535) {
    throw new MeshError(
      "dns.upstream.invalid",
      `upstream name server "${text}": want an address, or an address and a port`,
      { fault: "user" },
    );
  }
  return { address, port: Number(port) };
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
  const id = crypto.getRandomValues(new Uint16Array(1))[0] ?? 0;
  return standardQuery(id, question, [
    {
      kind: "other",
      type: recordTypes.OPT,
      name: "",
      class: 1_232,
      ttl: 0,
      bytes: new Uint8Array(),
    },
  ]);
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
