/**
 * Which HTTP rule of a VirtualService a route came from, and why the others do not take a request.
 *
 * Knows no semantics of its own: each field of a match is compiled and asked alone. A field differs where a match of
 * that field only would not take the request.
 */

import type { HttpMatchRequest, HttpRoute, VirtualService } from "../../api/istio/networking.ts";
import type { ProxyContext } from "../mesh/context.ts";
import { matchesRoute, type Subject } from "../mesh/evaluate-match.ts";
import { appliesTo, routeMatch } from "../mesh/http-match.ts";
import { objectKey } from "../registry/world.ts";
import type { Decider, Difference, NearMiss } from "./explanation.ts";

export interface RuleMiss {
  /** `spec.http[0]`. */
  readonly path: string;
  /** Of the alternative with the fewest; empty: the rule takes the request. */
  readonly differences: readonly Difference[];
}

/** Every rule in order, with what keeps it from taking the request. */
export function ruleMisses(
  context: ProxyContext,
  rules: VirtualService,
  subject: Subject,
): readonly RuleMiss[] {
  return (rules.spec.http ?? []).map((rule, index) => {
    const path = `spec.http[${index}]`;
    return { path, differences: ruleDifferences(context, rule, path, subject) };
  });
}

export function nearestRoute(
  rules: VirtualService,
  misses: readonly RuleMiss[],
): NearMiss | undefined {
  const best = misses.toSorted((a, b) => a.differences.length - b.differences.length)[0];
  if (best === undefined) return undefined;
  return { rule: placeIn(rules, best.path), differences: best.differences };
}

export function placeIn(rules: VirtualService, path: string): Decider {
  return { kind: "VirtualService", name: objectKey(rules), path };
}

function ruleDifferences(
  context: ProxyContext,
  rule: HttpRoute,
  path: string,
  subject: Subject,
): readonly Difference[] {
  const alternatives = (rule.match ?? []).map((match, index) =>
    fieldsOf(match).flatMap(({ field, part }) => {
      const takes =
        appliesTo(part, context, subject.destinationPort) &&
        matchesRoute(routeMatch(part), subject);
      if (takes) return [];
      const have = haveOf(field, subject, context);
      return [{ path: `${path}.match[${index}].${field}`, have, want: wantOf(part) }];
    }),
  );
  return alternatives.toSorted((a, b) => a.length - b.length)[0] ?? [];
}

interface Field {
  /** `uri`, `headers.end-user`. */
  readonly field: string;
  /** A match of this field alone. */
  readonly part: HttpMatchRequest;
}

const maps = ["headers", "withoutHeaders", "queryParams", "sourceLabels"] as const;

function fieldsOf(match: HttpMatchRequest): readonly Field[] {
  const { uri, ignoreUriCase, method, authority, scheme } = match;
  const single: readonly (readonly [string, HttpMatchRequest | undefined])[] = [
    ["uri", uri && { uri, ...(ignoreUriCase === undefined ? {} : { ignoreUriCase }) }],
    ["method", method && { method }],
    ["authority", authority && { authority }],
    ["scheme", scheme && { scheme }],
    ["port", match.port === undefined ? undefined : { port: match.port }],
    [
      "sourceNamespace",
      match.sourceNamespace === undefined ? undefined : { sourceNamespace: match.sourceNamespace },
    ],
    ["gateways", match.gateways && { gateways: match.gateways }],
  ];
  return [
    ...single.flatMap(([field, part]) => (part === undefined ? [] : [{ field, part }])),
    ...maps.flatMap((map) =>
      Object.entries(match[map] ?? {}).map(([key, value]) => ({
        field: `${map}.${key}`,
        part: { [map]: { [key]: value } },
      })),
    ),
  ];
}

function haveOf(field: string, subject: Subject, context: ProxyContext): string {
  const [name = "", ...rest] = field.split(".");
  const key = rest.join(".");
  switch (name) {
    case "uri":
      return subject.path ?? "";
    case "method":
      return subject.method ?? "";
    case "authority":
      return subject.host ?? "";
    case "scheme":
      return "http";
    case "port":
      return `${subject.destinationPort}`;
    case "sourceNamespace":
      return context.namespace;
    case "gateways":
      return "mesh";
    case "sourceLabels":
      return context.labels[key] ?? "absent";
    case "queryParams":
      return valueIn(subject.query ?? "", key) ?? "absent";
    default:
      return subject.headers?.[key.toLowerCase()] ?? "absent";
  }
}

function valueIn(query: string, key: string): string | undefined {
  const pair = query.split("&").find((one) => one === key || one.startsWith(`${key}=`));
  return pair?.slice(key.length + 1);
}

/** `exact "jason"`, `prefix "/api"`; for other values as they stand. */
function wantOf(part: HttpMatchRequest): string {
  if (part.withoutHeaders !== undefined) return `not ${wanted(Object.values(part.withoutHeaders))}`;
  const { headers, queryParams, sourceLabels, ...rest } = part;
  const values = headers ?? queryParams ?? sourceLabels;
  return wanted(values === undefined ? Object.values(rest) : Object.values(values));
}

function wanted([value]: readonly unknown[]): string {
  if (typeof value !== "object" || value === null) return `${value}`;
  if (Array.isArray(value)) return value.join(", ");
  const [entry] = Object.entries(value);
  return entry === undefined ? "present" : `${entry[0]} "${entry[1]}"`;
}
