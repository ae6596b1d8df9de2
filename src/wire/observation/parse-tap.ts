/** Taps out of JSON: what the server orders, what sidecars and agents answer. Same rules as parse.ts. */

import type {
  ReportAnswer,
  TapBatch,
  TapFilter,
  TapOrder,
  TappedRequest,
} from "../../model/observation.ts";
import { amount, flag, list, oneOf, record, text } from "./fields.ts";
import { checkOrder } from "./parse-check.ts";

const maxPath = 2_048;
const maxTaps = 16;
const maxChecks = 4;
const maxRequests = 500;
const maxPods = 2_000;
const filterWords = ["method", "path", "status", "from", "to"] as const;

/** Throws MeshError `observation.malformed`. */
export function parseReportAnswer(value: unknown): ReportAnswer {
  const at = record(value, "");
  return {
    taps: list(at["taps"], "taps", maxTaps, order),
    // A server of an earlier version orders none.
    checks: list(at["checks"] ?? [], "checks", maxChecks, checkOrder),
  };
}

/** What one sidecar's tap says: a request, or how many it left out. Throws MeshError `observation.malformed`. */
export function parseTapLine(
  value: unknown,
): { readonly request: TappedRequest } | { readonly leftOut: number } {
  const at = record(value, "");
  if (at["leftOut"] !== undefined) return { leftOut: amount(at["leftOut"], "leftOut") };
  return { request: tapped(value, "request") };
}

/** A filter out of the words of a query; words that are not there do not limit anything. */
export function parseTapFilter(word: (name: string) => string | null): TapFilter {
  return Object.fromEntries(
    filterWords.flatMap((name) => {
      const value = word(name);
      return value === null || value === "" ? [] : [[name, text(value, name)]];
    }),
  );
}

export function tapBatch(value: unknown, path: string): TapBatch {
  const at = record(value, path);
  return {
    tap: text(at["tap"], `${path}.tap`),
    requests: list(at["requests"], `${path}.requests`, maxRequests, tapped),
    leftOut: amount(at["leftOut"], `${path}.leftOut`),
  };
}

function order(value: unknown, path: string): TapOrder {
  const at = record(value, path);
  const filter = record(at["filter"], `${path}.filter`);
  const { pods } = at;
  return {
    id: text(at["id"], `${path}.id`),
    filter: parseTapFilter((name) => {
      const word = filter[name];
      return word === undefined ? null : text(word, `${path}.filter.${name}`);
    }),
    ...(pods === undefined ? {} : { pods: list(pods, `${path}.pods`, maxPods, text) }),
  };
}

function tapped(value: unknown, path: string): TappedRequest {
  const at = record(value, path);
  const word = (name: string): string => text(at[name], `${path}.${name}`);
  const { route, upstream } = at;
  return {
    at: amount(at["at"], `${path}.at`),
    reporter: oneOf(at["reporter"], `${path}.reporter`, ["source", "destination"]),
    source: word("source"),
    destination: word("destination"),
    pod: word("pod"),
    method: word("method"),
    path: text(at["path"], `${path}.path`, maxPath),
    authority: word("authority"),
    status: amount(at["status"], `${path}.status`),
    flag: word("flag"),
    durationMs: amount(at["durationMs"], `${path}.durationMs`),
    mtls: flag(at["mtls"], `${path}.mtls`),
    ...(route === undefined ? {} : { route: text(route, `${path}.route`) }),
    ...(upstream === undefined ? {} : { upstream: text(upstream, `${path}.upstream`) }),
  };
}
