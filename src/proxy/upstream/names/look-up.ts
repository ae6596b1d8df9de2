/**
 * Where a name leads now, asked of the node's name server: addresses of the sidecar's own family, else of the other.
 *
 * The question says that a proxy asks it: to the application such a name may lead to an address that stands for it and
 * that only sidecars understand.
 */

import { type IpFamily, ipFamilies } from "../../../base/ip.ts";
import { type NameServerAddress, queryServer } from "../../../rpc/dns-query.ts";
import {
  classInternet,
  type DnsMessage,
  realAddressOption,
  recordTypes,
  responseCodes,
} from "../../../wire/dns/message.ts";

export interface LookedUp {
  /** Each once, in the answer's order; none where the name does not exist or has no address. */
  readonly addresses: readonly string[];
  /** For how long that may be believed. */
  readonly ttlMs: number;
}

/** Looks a name up; throws when no answer could be had. */
export type LookUp = (name: string) => Promise<LookedUp>;

const attemptMs = 2_500; // the name server gives up on the outside after 3 s at most, and is on this node itself
const attempts = 2;
/** More of one name are not used: what a configuration can make a sidecar hold has a limit. */
const maxAddresses = 256;
const maxAliases = 8;
/** Of an answer that says nothing of how long it holds. */
const otherwiseMs = 60_000;

export function lookUpAt(server: NameServerAddress, preferred: IpFamily): LookUp {
  const families = ipFamilies.toSorted((a, b) => Number(b === preferred) - Number(a === preferred));
  return async (name) => {
    let last: LookedUp = { addresses: [], ttlMs: otherwiseMs };
    for (const family of families) {
      last = await ask(server, name, family);
      if (last.addresses.length > 0) break;
    }
    return last;
  };
}

async function ask(server: NameServerAddress, name: string, family: IpFamily): Promise<LookedUp> {
  const type = family === "IPv4" ? recordTypes.A : recordTypes.AAAA;
  const question = { name, type, class: classInternet };
  let failure: unknown;
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      const answer = await queryServer(server, question, attemptMs, realAddressOption);
      const { noError, nameError } = responseCodes;
      if (answer.responseCode === noError || answer.responseCode === nameError) {
        return read(answer, name, family === "IPv4" ? "A" : "AAAA");
      }
      failure = new Error(`answer of code ${answer.responseCode}`);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** Addresses of the name, also by aliases; the shortest of their times. */
function read({ answers, authorities }: DnsMessage, name: string, kind: "A" | "AAAA"): LookedUp {
  const owners = new Set([name.toLowerCase()]);
  const ttls: number[] = [];
  for (let step = 0; step < maxAliases; step++) {
    const before = owners.size;
    for (const record of answers) {
      if (record.kind !== "CNAME" || !owners.has(record.name.toLowerCase())) continue;
      owners.add(record.target.toLowerCase());
      if (step === 0) ttls.push(record.ttl);
    }
    if (owners.size === before) break;
  }
  const addresses = new Set<string>();
  for (const record of answers) {
    if (record.kind !== kind || !owners.has(record.name.toLowerCase())) continue;
    ttls.push(record.ttl);
    if (addresses.size < maxAddresses) addresses.add(record.address);
  }
  if (addresses.size > 0) return { addresses: [...addresses], ttlMs: Math.min(...ttls) * 1_000 };
  const negative = authorities.flatMap((record) =>
    record.kind === "SOA" ? [Math.min(record.ttl, record.minimum)] : [],
  );
  return {
    addresses: [],
    ttlMs: negative.length === 0 ? otherwiseMs : Math.min(...negative) * 1_000,
  };
}
