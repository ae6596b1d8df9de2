/**
 * Observations and reports out of JSON, checked whole: what a sidecar or an agent says is outside data.
 *
 * Lists, texts and numbers have limits, so that one sender cannot fill its reader's memory, and nothing is taken from a
 * report of which a part is wrong. A refusal names the path, what was found and what is wanted.
 */

import { bucketCount, type SparseHistogram } from "../../base/log-histogram.ts";
import type {
  DropCounts,
  EdgeCounts,
  EndpointLoss,
  FoundCounts,
  NodeReport,
  ServingCounts,
  SidecarObservation,
} from "../../model/observation.ts";
import { amount, flag, list, oneOf, record, text, wrong } from "./fields.ts";
import { checkProgress } from "./parse-check.ts";
import { tapBatch } from "./parse-tap.ts";

/** Entries of each list of a report. */
export const reportLimits = {
  edges: 2_000,
  serving: 2_000,
  drops: 500,
  losses: 500,
  sidecars: 2_000,
  taps: 16,
  checks: 4,
};
const maxCodes = 128;
const maxFound = 64;
/** No report covers more: an agent that was away for longer begins anew. */
const maxSpanMs = 60_000;

/** Throws MeshError `observation.malformed`. */
export function parseObservation(value: unknown): SidecarObservation {
  const at = record(value, "");
  return {
    start: text(at["start"], "start"),
    startedAt: amount(at["startedAt"], "startedAt"),
    edges: list(at["edges"], "edges", reportLimits.edges, edge),
    serving: list(at["serving"], "serving", reportLimits.serving, serving),
    losses: list(at["losses"], "losses", reportLimits.losses, loss),
  };
}

/** Throws MeshError `observation.malformed`. */
export function parseReport(value: unknown): NodeReport {
  const at = record(value, "");
  const from = amount(at["from"], "from");
  const to = amount(at["to"], "to");
  if (to < from || to - from > maxSpanMs) {
    throw wrong("to", `at most ${maxSpanMs} ms after from, and not before it`, to - from);
  }
  return {
    node: text(at["node"], "node"),
    from,
    to,
    edges: list(at["edges"], "edges", reportLimits.edges, edge),
    serving: list(at["serving"], "serving", reportLimits.serving, serving),
    drops: list(at["drops"], "drops", reportLimits.drops, drop),
    losses: list(at["losses"], "losses", reportLimits.losses, loss),
    sidecars: list(at["sidecars"], "sidecars", reportLimits.sidecars, text),
    taps: list(at["taps"], "taps", reportLimits.taps, tapBatch),
    // An agent of an earlier version takes part in none.
    checks: list(at["checks"] ?? [], "checks", reportLimits.checks, checkProgress),
  };
}

function edge(value: unknown, path: string): EdgeCounts {
  const at = record(value, path);
  const { mtls } = at;
  return {
    source: text(at["source"], `${path}.source`),
    destination: text(at["destination"], `${path}.destination`),
    protocol: oneOf(at["protocol"], `${path}.protocol`, ["http", "grpc", "tcp"]),
    version: text(at["version"], `${path}.version`),
    ...(mtls === undefined ? {} : { mtls: flag(mtls, `${path}.mtls`) }),
    codes: counts(at["codes"], `${path}.codes`, /^(\d{1,3}|-)$/),
    flags: counts(at["flags"], `${path}.flags`, /^[A-Z]{1,8}$/),
    retries: amount(at["retries"], `${path}.retries`),
    durations: histogram(at["durations"], `${path}.durations`),
    durationSumMs: amount(at["durationSumMs"], `${path}.durationSumMs`),
  };
}

function serving(value: unknown, path: string): ServingCounts {
  const at = record(value, path);
  const number = (name: string): number => amount(at[name], `${path}.${name}`);
  return {
    pod: text(at["pod"], `${path}.pod`),
    service: text(at["service"], `${path}.service`),
    requests: number("requests"),
    failed: number("failed"),
    responses: histogram(at["responses"], `${path}.responses`),
    responseSumMs: number("responseSumMs"),
    busyMs: number("busyMs"),
    inFlightMs: number("inFlightMs"),
    gaps: number("gaps"),
    gapSumMs: number("gapSumMs"),
    gapSquareSumMs2: number("gapSquareSumMs2"),
    services: histogram(at["services"], `${path}.services`),
    serviceSumMs: number("serviceSumMs"),
    serviceSquareSumMs2: number("serviceSquareSumMs2"),
    found: list(at["found"], `${path}.found`, maxFound, found),
  };
}

function found(value: unknown, path: string): FoundCounts {
  const [requests, sumMs, squareSumMs2] = list(value, path, 3, amount);
  if (requests === undefined || sumMs === undefined || squareSumMs2 === undefined) {
    throw wrong(path, "three numbers", value);
  }
  return [requests, sumMs, squareSumMs2];
}

function drop(value: unknown, path: string): DropCounts {
  const at = record(value, path);
  return {
    source: text(at["source"], `${path}.source`),
    destination: text(at["destination"], `${path}.destination`),
    port: amount(at["port"], `${path}.port`),
    protocol: oneOf(at["protocol"], `${path}.protocol`, ["tcp", "udp", "sctp", "icmp", "other"]),
    direction: oneOf(at["direction"], `${path}.direction`, ["ingress", "egress"]),
    reason: text(at["reason"], `${path}.reason`),
    policies: list(at["policies"], `${path}.policies`, 32, text),
    packets: amount(at["packets"], `${path}.packets`),
  };
}

function loss(value: unknown, path: string): EndpointLoss {
  const at = record(value, path);
  const number = (name: string): number => amount(at[name], `${path}.${name}`);
  return {
    source: text(at["source"], `${path}.source`),
    service: text(at["service"], `${path}.service`),
    endpoint: text(at["endpoint"], `${path}.endpoint`),
    failedAt: number("failedAt"),
    ejectedAt: number("ejectedAt"),
    failedAttempts: number("failedAttempts"),
    lostRequests: number("lostRequests"),
  };
}

function histogram(value: unknown, path: string): SparseHistogram {
  let before = -1;
  return list(value, path, bucketCount, (pair, at) => {
    const [bucket, count] = Array.isArray(pair) && pair.length === 2 ? pair : [];
    const isBucket = Number.isInteger(bucket) && bucket > before && bucket < bucketCount;
    if (!isBucket) throw wrong(at, `[bucket, count], buckets ascending below ${bucketCount}`, pair);
    before = bucket;
    return [bucket, amount(count, at)];
  });
}

function counts(value: unknown, path: string, key: RegExp): Readonly<Record<string, number>> {
  const entries = Object.entries(record(value, path));
  if (entries.length > maxCodes) throw wrong(path, `at most ${maxCodes} entries`, entries.length);
  return Object.fromEntries(
    entries.map(([name, count]) => {
      if (!key.test(name)) throw wrong(path, `names like ${key.source}`, name);
      return [name, amount(count, `${path}.${name}`)];
    }),
  );
}
