/**
 * A rule that delegates and a rule that it delegates to, as one: Istio's merge.
 *
 * A request has to fit both. Every match of the delegate's is joined with each of the root's that it narrows; where one
 * narrows none, the whole rule is left out, so that a delegate takes no more than it is given. Of everything else the
 * delegate's own holds as a whole, and the root's where the delegate says nothing.
 *
 * Whether a match narrows another is told by its text, and only where that is sure: expressions never do. Two things
 * are Istio's, and not what one would expect: where the root names a source namespace the delegate has to name the same,
 * and a value of the delegate's in `withoutHeaders` stands in the place of the root's.
 */

import type { HttpMatchRequest, HttpRoute, StringMatch } from "../../api/istio/networking.ts";

export type Merged =
  | {
      readonly kind: "merged";
      readonly rule: HttpRoute;
      /** One for each of the rule's matches. */
      readonly origins: readonly MatchOrigin[];
    }
  /** The delegate's rule is left out: `match[0].uri` of it asks for what no match of the root's gives. */
  | { readonly kind: "conflict"; readonly field: string };

/** Of which matches a match was joined: places in the lists of either rule; absent where that one has no list. */
export interface MatchOrigin {
  readonly root?: number;
  readonly own?: number;
}

/** What a delegate's rule takes over from the root's where it has none of its own. */
const inherited = [
  "rewrite",
  "directResponse",
  "timeout",
  "retries",
  "fault",
  "mirror",
  "mirrorPercent",
  "mirror_percent",
  "mirrorPercentage",
  "mirrors",
  "corsPolicy",
  "headers",
] as const satisfies readonly (keyof HttpRoute)[];

export function mergeRules(root: HttpRoute, own: HttpRoute): Merged {
  const joined = joinMatches(root.match ?? [], own.match ?? []);
  if ("field" in joined) return { kind: "conflict", field: joined.field };
  const name = joinNames(root.name, own.name);
  const missing = inherited.filter(
    (field) => own[field] === undefined && root[field] !== undefined,
  );
  return {
    kind: "merged",
    rule: {
      ...own,
      ...Object.fromEntries(missing.map((field) => [field, root[field]])),
      ...(joined.length === 0 ? {} : { match: joined.map(({ match }) => match) }),
      ...(name === undefined ? {} : { name }),
    },
    origins: joined.map(({ origin }) => origin),
  };
}

interface Joined {
  readonly match: HttpMatchRequest;
  readonly origin: MatchOrigin;
}

function joinMatches(
  roots: readonly HttpMatchRequest[],
  owns: readonly HttpMatchRequest[],
): readonly Joined[] | { readonly field: string } {
  if (roots.length === 0) return owns.map((match, own) => ({ match, origin: { own } }));
  if (owns.length === 0) return roots.map((match, root) => ({ match, origin: { root } }));
  const all: Joined[] = [];
  for (const [own, match] of owns.entries()) {
    const conflicts: string[] = [];
    for (const [root, given] of roots.entries()) {
      const field = conflictingField(given, match);
      if (field === undefined) all.push({ match: join(given, match), origin: { root, own } });
      else conflicts.push(field);
    }
    if (conflicts.length === roots.length) return { field: `match[${own}].${conflicts[0]}` };
  }
  return all;
}

const strings = ["uri", "scheme", "method", "authority"] as const;
const maps = ["headers", "withoutHeaders", "queryParams"] as const;

function join(root: HttpMatchRequest, own: HttpMatchRequest): HttpMatchRequest {
  const name = joinNames(root.name, own.name);
  const gateways = own.gateways?.length ? own.gateways : root.gateways;
  const merged = [...maps, "sourceLabels" as const].filter((map) => root[map] ?? own[map]);
  return {
    ...root,
    ...own,
    ...Object.fromEntries(merged.map((map) => [map, { ...root[map], ...own[map] }])),
    ...(name === undefined ? {} : { name }),
    ...(gateways === undefined ? {} : { gateways }),
  };
}

function joinNames(root = "", own = ""): string | undefined {
  return [root, own].filter((name) => name !== "").join("-") || undefined;
}

/** The first field in which `own` takes requests that `root` does not; undefined where it narrows it. */
function conflictingField(root: HttpMatchRequest, own: HttpMatchRequest): string | undefined {
  const text = strings.find((field) => !narrows(own[field], root[field]));
  if (text !== undefined) return text;
  for (const map of maps) {
    const entries = Object.entries(own[map] ?? {});
    const key = entries.find(([name, value]) => !narrows(value, root[map]?.[name]))?.[0];
    if (key !== undefined) return `${map}["${key}"]`;
  }
  if ((root.ignoreUriCase === true) !== (own.ignoreUriCase === true)) return "ignoreUriCase";
  if (root.port && own.port && root.port !== own.port) return "port";
  if (root.sourceNamespace && root.sourceNamespace !== own.sourceNamespace) {
    return "sourceNamespace";
  }
  const label = Object.entries(own.sourceLabels ?? {}).find(
    ([name, value]) => (root.sourceLabels?.[name] ?? value) !== value,
  );
  if (label !== undefined) return `sourceLabels["${label[0]}"]`;
  return within(own.gateways ?? [], root.gateways ?? []) ? undefined : "gateways";
}

/** Either side being absent is no conflict; all other doubts are one. */
function narrows(own: StringMatch | undefined, root: StringMatch | undefined): boolean {
  if (own === undefined || root === undefined) return true;
  if (own.regex || root.regex) return false;
  if (root.exact) return own.exact === root.exact;
  const narrower = own.prefix || own.exact;
  return Boolean(root.prefix && narrower?.startsWith(root.prefix));
}

function within(own: readonly string[], root: readonly string[]): boolean {
  return root.length === 0 || own.every((gateway) => root.includes(gateway));
}
