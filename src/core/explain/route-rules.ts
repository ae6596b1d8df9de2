/**
 * Which HTTP rule of a VirtualService a route came from, and why the others do not take a request. Of a rule that
 * another VirtualService delegates to, both are named.
 *
 * Knows no semantics of its own: each field of a match is compiled and asked alone. A field differs where a match of
 * that field only would not take the request.
 */

import type { HttpMatchRequest, VirtualService } from "../../api/istio/networking.ts";
import type { ProxyContext } from "../mesh/context.ts";
import { matchesRoute, type Subject } from "../mesh/evaluate-match.ts";
import { appliesTo, routeMatch } from "../mesh/http-match.ts";
import { type HttpRule, httpRules, placeOf, type WrittenRule } from "../mesh/http-rules.ts";
import { describe } from "../mesh/visibility.ts";
import { objectKey } from "../registry/world.ts";
import type { Decider, Difference, NearMiss } from "./explanation.ts";

export interface RuleMiss {
  /** Where the rule is: of the one who delegates to it first, then where it is written. */
  readonly by: readonly Decider[];
  /** Where a fault that it injects is written. */
  readonly fault: Decider;
  /** Of the alternative with the fewest; empty: the rule takes the request. */
  readonly differences: readonly Difference[];
}

/** Every rule in order, with what keeps it from taking the request. */
export function ruleMisses(
  context: ProxyContext,
  rules: VirtualService,
  subject: Subject,
): readonly RuleMiss[] {
  return httpRules(context.world, rules).value.map((held) => {
    const fault = placeOf(held, "fault");
    return {
      by: [...(held.root === undefined ? [] : [held.root]), held].map((one) =>
        placeIn(one.rules, one.path),
      ),
      fault: placeIn(fault.rules, `${fault.path}.fault`),
      differences: ruleDifferences(context, held, subject),
    };
  });
}

/** What rules that delegate are left out, and why. */
export function leftOut(context: ProxyContext, rules: VirtualService): readonly string[] {
  const { diagnostics } = httpRules(context.world, rules);
  return diagnostics.map(({ where, message }) => `${where}: ${message}`);
}

export function nearestRoute(misses: readonly RuleMiss[]): NearMiss | undefined {
  const best = misses.toSorted((a, b) => a.differences.length - b.differences.length)[0];
  const rule = best?.by.at(-1);
  return best === undefined || rule === undefined
    ? undefined
    : { rule, differences: best.differences };
}

export function placeIn(rules: VirtualService, path: string): Decider {
  return { kind: "VirtualService", name: objectKey(rules), path };
}

function ruleDifferences(
  context: ProxyContext,
  held: HttpRule,
  subject: Subject,
): readonly Difference[] {
  const alternatives = (held.rule.match ?? []).map((match, index) =>
    fieldsOf(match).flatMap(({ field, part }) => {
      const takes =
        appliesTo(part, context, subject.destinationPort) &&
        matchesRoute(routeMatch(part), subject);
      if (takes) return [];
      const have = haveOf(field, subject, context);
      return [{ path: fieldPath(held, index, field), have, want: wantOf(part) }];
    }),
  );
  return alternatives.toSorted((a, b) => a.length - b.length)[0] ?? [];
}

/** Where the field of a match is written: with the object's name where two have a say. */
function fieldPath(held: HttpRule, index: number, field: string): string {
  const { root, own } = held.origins[index] ?? {};
  const isIn = (rule: WrittenRule, match: number | undefined): boolean =>
    fieldsOf(rule.written.match?.[match ?? -1] ?? {}).some((one) => one.field === field);
  if (held.root === undefined) return `${held.path}.match[${own}].${field}`;
  const [rule, match] = isIn(held, own) ? [held, own] : [held.root, root];
  return `${describe(rule.rules)} ${rule.path}.match[${match}].${field}`;
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
      return context.gateway ?? "mesh";
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
