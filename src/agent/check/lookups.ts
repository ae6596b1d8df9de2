/**
 * Asks the pods' name server as resolvers do: A and AAAA of a name at once from one socket, several such pairs.
 *
 * What goes wrong in the field is that one of the two is lost (a race for one tracked connection, a filter that counts,
 * a server that does not answer AAAA); the resolver then waits for seconds. Nothing is asked twice here.
 */

import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import type { Clock } from "../../base/clock.ts";
import { clusterDomain, podGateway } from "../../model/names.ts";
import type { LookupPairs, LookupTries, NameLookups } from "../../model/network-check.ts";
import { decodeMessage } from "../../wire/dns/decode.ts";
import { encodeMessage } from "../../wire/dns/encode.ts";
import {
  classInternet,
  recordTypes,
  responseCodes,
  standardQuery,
} from "../../wire/dns/message.ts";

const pairs = 5;
const port = 53;
const clusterWaitMs = 2_500;
/** The name server itself asks upstream twice, 1.5 s each. */
const outsideWaitMs = 3_500;
const toolMs = 1_000;
const types = [recordTypes.A, recordTypes.AAAA] as const;

/** `check` makes names of their own, which no cache knows. */
export async function tryLookups(
  check: string,
  hasUpstream: boolean,
  clock: Clock,
): Promise<NameLookups> {
  const [cluster, outside, pid] = await Promise.all([
    tryPairs(`${check}.heddle-check.svc.${clusterDomain}`, clusterWaitMs, clock),
    // Nobody has names below `invalid` (RFC 6761); that there is none is an answer.
    hasUpstream ? tryPairs(`${check}.heddle-check.invalid`, outsideWaitMs, clock) : undefined,
    listenerOf(),
  ]);
  return {
    server: podGateway,
    ...(pid === undefined ? {} : { pid }),
    cluster,
    ...(outside === undefined ? {} : { outside }),
  };
}

async function tryPairs(name: string, waitMs: number, clock: Clock): Promise<LookupPairs> {
  const tried = await Promise.all(
    Array.from({ length: pairs }, (_, index) => tryPair(`${index}.${name}`, waitMs, clock)),
  );
  const sum = (type: number): LookupTries => {
    const answers = tried.flatMap((answered) => answered.get(type) ?? []);
    return {
      answered: answers.length,
      failures: answers.filter(({ isFailure }) => isFailure).length,
      slowestMs: Math.max(0, ...answers.map(({ tookMs }) => tookMs)),
    };
  };
  return { name, pairs, a: sum(recordTypes.A), aaaa: sum(recordTypes.AAAA) };
}

interface Answered {
  readonly tookMs: number;
  readonly isFailure: boolean;
}

/** Answers by type, those that came in time. */
async function tryPair(
  name: string,
  waitMs: number,
  clock: Clock,
): Promise<ReadonlyMap<number, Answered>> {
  const answers = new Map<number, Answered>();
  const both = new AbortController();
  const socket = createSocket("udp4");
  socket.on("error", () => both.abort());
  const begun = clock.now();
  socket.on("message", (bytes) => {
    const type = answeredType(bytes);
    if (type === undefined) return;
    answers.set(type.type, { tookMs: clock.now() - begun, isFailure: type.isFailure });
    if (answers.size === types.length) both.abort();
  });
  for (const type of types) {
    socket.send(
      encodeMessage(standardQuery(type, { name, type, class: classInternet })),
      port,
      podGateway,
      () => undefined,
    );
  }
  await clock.sleep(waitMs, both.signal).catch(() => undefined);
  socket.close();
  return answers;
}

function answeredType(
  bytes: Uint8Array,
): { readonly type: number; readonly isFailure: boolean } | undefined {
  try {
    const { isResponse, id, responseCode } = decodeMessage(bytes);
    const isFailure = responseCode === responseCodes.serverFailure;
    return isResponse ? { type: id, isFailure } : undefined;
  } catch {
    return undefined; // not a DNS message
  }
}

/** Of the process that has the name server's socket; undefined where nobody has, or nobody can tell. */
function listenerOf(): Promise<number | undefined> {
  const words = ["-Hlunp", "src", podGateway, "sport", "=", `:${port}`];
  return new Promise((resolve) => {
    execFile("ss", words, { timeout: toolMs, encoding: "utf8" }, (_error, stdout) => {
      const pid = /pid=(\d+)/.exec(stdout)?.[1];
      resolve(pid === undefined ? undefined : Number(pid));
    });
  });
}
