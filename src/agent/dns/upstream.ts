/**
 * Names outside the cluster: asked of upstream servers, remembered for as long as they allow.
 *
 * The server that answered last is asked first; one that is silent hands its turn on to the next. The cache is bounded by
 * count and by bytes, since an answer may have 64 KiB and pods choose what is asked; the oldest entry leaves first. Equal
 * queries under way share one answer.
 */

import { isIP } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { MeshError, present } from "../../base/error.ts";
import { type NameServerAddress, queryServer } from "../../rpc/dns-query.ts";
import type { DnsMessage, DnsQuestion } from "../../wire/dns/message.ts";
import { responseCodes } from "../../wire/dns/message.ts";

const maxEntries = 4_096;
/** Of all that is remembered. Ordinary answers, of a few records, reach the other bound first. */
const maxBytes = 8 * 1024 * 1024;
/** About what one record is in memory, beside bytes that are not understood. */
const recordBytes = 250;
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
  readonly bytes: number;
  readonly message: DnsMessage;
}

/** At least one server. */
export function forwardTo(servers: readonly NameServerAddress[], clock: Clock): Upstream {
  let best = 0;
  const cache = new Map<string, Entry>();
  let cachedBytes = 0;
  const running = new Map<string, Promise<DnsMessage>>();

  function forget(key: string): void {
    cachedBytes -= cache.get(key)?.bytes ?? 0;
    cache.delete(key);
  }

  function remember(key: string, message: DnsMessage): void {
    const ttl = ttlOf(message);
    if (ttl === 0) return;
    forget(key);
    const at = clock.now();
    const bytes = bytesOf(message);
    cache.set(key, { at, until: at + ttl * 1_000, bytes, message });
    cachedBytes += bytes;
    for (const oldest of cache.keys()) {
      if (cache.size <= maxEntries && cachedBytes <= maxBytes) break;
      forget(oldest);
    }
  }

  async function ask(question: DnsQuestion): Promise<DnsMessage> {
    let failure: unknown;
    const first = best;
    for (let attempt = 0; attempt < Math.max(fewestAttempts, servers.length); attempt++) {
      const turn = (first + attempt) % servers.length;
      const server = present(servers[turn], "an upstream name server");
      try {
        const whole = await queryServer(server, question, attemptMs);
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
      remember(key, message);
      return { message, by: "upstream" };
    },
  };
}

/** `address`, `address:port` or `[address]:port`, with commas between several. */
export function parseServers(text: string): readonly NameServerAddress[] {
  return text.split(",").map((each) => parseServer(each.trim()));
}

function parseServer(text: string): NameServerAddress {
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

function bytesOf({ answers, authorities, additionals }: DnsMessage): number {
  return [...answers, ...authorities, ...additionals].reduce(
    (sum, record) => sum + recordBytes + (record.kind === "other" ? record.bytes.length : 0),
    0,
  );
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
