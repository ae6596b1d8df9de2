/**
 * One query to one answer, from the names of the newest view. Pure.
 *
 * Cluster names are answered with authority and at once, also that there is nothing: an AAAA for a name that has only
 * an A gets an empty answer in the same round trip, so no resolver waits out its five seconds. Below the cluster's
 * domain an unknown name is NXDOMAIN, which sends a search list on to its next entry; names elsewhere are the
 * upstream's.
 */

import {
  answerTtlSeconds,
  type DnsRecord as ClusterRecord,
  lookup,
  type NameTable,
} from "../../core/dns/name-table.ts";
import { clusterDomain } from "../../model/names.ts";
import {
  asksForRealAddress,
  classInternet,
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  optRecord,
  recordTypes,
  responseCodes,
} from "../../wire/dns/message.ts";

export type Answer =
  | { readonly kind: "reply"; readonly message: DnsMessage }
  /** Ask the upstream; `partial` is what is known already (the chain of aliases that led out of the cluster). */
  | { readonly kind: "elsewhere"; readonly question: DnsQuestion; readonly partial: DnsMessage };

/** An alias chain longer than this is a loop or a joke. */
const maxAliases = 8;

const typeNames = new Map<number, string>(
  Object.entries(recordTypes).map(([name, number]) => [number, name]),
);

/** `asker`: its address; pods that have a sidecar are led to what sidecars understand. */
export function answerQuery(
  query: DnsMessage,
  table: NameTable | undefined,
  asker?: string,
): Answer {
  const [question, another] = query.questions;
  if (query.opcode !== 0) return reply(query, responseCodes.notImplemented);
  if (question === undefined || another !== undefined) {
    return reply(query, responseCodes.formatError);
  }
  // Before the first view nothing is known, and "try again" is the only true answer.
  if (table === undefined) return reply(query, responseCodes.serverFailure);
  if (question.class !== classInternet) return reply(query, responseCodes.refused);

  const viewer = asksForRealAddress(query) ? undefined : table.meshed.get(asker ?? "");
  const answers: DnsRecord[] = [];
  let name = question.name;
  for (let aliases = 0; aliases <= maxAliases; aliases++) {
    const found = lookup(table, name, typeNames.get(question.type) ?? "", viewer);
    if (found.kind === "elsewhere") {
      return {
        kind: "elsewhere",
        question: { ...question, name },
        partial: respond(query, responseCodes.noError, { answers, authoritative: aliases > 0 }),
      };
    }
    if (found.kind !== "found") {
      // RFC 6604: the code speaks of the last name of a chain of aliases.
      const code = found.kind === "no-name" ? responseCodes.nameError : responseCodes.noError;
      return reply(query, code, { answers, authorities: [startOfAuthority] });
    }
    answers.push(...found.records.map((record) => toWire(name, record)));
    const alias = found.records.find((record) => record.type === "CNAME");
    if (alias?.type !== "CNAME" || question.type === recordTypes.CNAME) {
      return reply(query, responseCodes.noError, { answers });
    }
    name = alias.target;
  }
  return reply(query, responseCodes.serverFailure);
}

/** The reply to a query that nobody can answer further; keeps what is in `partial`. */
export function withCode(partial: DnsMessage, responseCode: number): DnsMessage {
  return { ...partial, responseCode };
}

function reply(query: DnsMessage, responseCode: number, parts: Partial<DnsMessage> = {}): Answer {
  return {
    kind: "reply",
    message: respond(query, responseCode, { authoritative: true, ...parts }),
  };
}

function respond(query: DnsMessage, responseCode: number, parts: Partial<DnsMessage>): DnsMessage {
  return {
    id: query.id,
    isResponse: true,
    opcode: query.opcode,
    authoritative: false,
    truncated: false,
    recursionDesired: query.recursionDesired,
    recursionAvailable: true,
    responseCode,
    questions: query.questions,
    answers: [],
    authorities: [],
    additionals: optOf(query),
    ...parts,
  };
}

/** Largest answer over UDP when the asker says that it can take more than 512; RFC 9715 advises this one. */
const maxUdpBytes = 1_232;

/** A query with an OPT record gets one back (RFC 6891 §7), without options and as version 0. */
function optOf(query: DnsMessage): readonly DnsRecord[] {
  const asked = query.additionals.some(isOpt);
  return asked ? [optRecord(maxUdpBytes)] : [];
}

/** How many bytes the asker takes over UDP. */
export function udpLimit(query: DnsMessage): number {
  const opt = query.additionals.find(isOpt);
  return opt === undefined ? 512 : Math.max(512, Math.min(opt.class, maxUdpBytes));
}

function isOpt(record: DnsRecord): boolean {
  return record.kind === "other" && record.type === recordTypes.OPT;
}

/** Says how long "there is no such name" may be remembered: as long as a name (RFC 2308 §5). */
const startOfAuthority: DnsRecord = {
  kind: "SOA",
  name: clusterDomain,
  class: classInternet,
  ttl: answerTtlSeconds,
  primary: `ns.dns.${clusterDomain}`,
  mailbox: `hostmaster.${clusterDomain}`,
  serial: 1,
  refresh: 7_200,
  retry: 1_800,
  expire: 86_400,
  minimum: answerTtlSeconds,
};

function toWire(name: string, record: ClusterRecord): DnsRecord {
  const common = { name, class: classInternet, ttl: answerTtlSeconds };
  switch (record.type) {
    case "A":
      return { ...common, kind: "A", address: record.address };
    case "AAAA":
      return { ...common, kind: "AAAA", address: record.address };
    case "PTR":
    case "CNAME":
      return { ...common, kind: record.type, target: record.target };
    case "SRV": {
      const { priority, weight, port, target } = record;
      return { ...common, kind: "SRV", priority, weight, port, target };
    }
  }
}
