/**
 * String, header and query matches.
 *
 * `present` has a form of its own on headers and query parameters; elsewhere (paths, principals) it travels as the
 * regular expression `.+`, as Istio writes it.
 *
 * An inverted header match also matches where the header is absent, which Envoy does only when told to treat a missing
 * header as empty; so the two go together, and what others write without it asks for the header besides. Not where presence itself is inverted: a missing header would be there then,
 * and an Envoy would never match.
 *
 * Expressions are RE2's, and stay as they are written: who runs them translates (base/re2.ts).
 */

import { MeshError } from "../../base/error.ts";
import { portableWhereRead } from "../../base/re2.ts";
import type { HeaderMatch, RouteMatch, StringMatch } from "../../model/proxy-config.ts";
import { invalid, required } from "./field.ts";
import type { HeaderMatcher, QueryParameterMatcher, StringMatcher } from "./gen/message-types.ts";

const anything = ".+";

export function encodeStringMatch(match: StringMatch): StringMatcher {
  switch (match.kind) {
    case "exact":
      return { exact: match.value };
    case "prefix":
      return { prefix: match.value };
    case "suffix":
      return { suffix: match.value };
    case "regex":
      return { safeRegex: { regex: match.value } };
    case "present":
      return { safeRegex: { regex: anything } };
  }
}

export function decodeStringMatch(matcher: StringMatcher | undefined, path: string): StringMatch {
  if (matcher === undefined) throw invalid(path, "is missing");
  if (matcher.ignoreCase === true) throw invalid(`${path}.ignore_case`, "is not supported");
  if (matcher.exact !== undefined) return { kind: "exact", value: matcher.exact };
  if (matcher.prefix !== undefined) return { kind: "prefix", value: matcher.prefix };
  if (matcher.suffix !== undefined) return { kind: "suffix", value: matcher.suffix };
  const regex = required(matcher.safeRegex?.regex, path);
  return regex === anything ? { kind: "present" } : { kind: "regex", value: checked(regex, path) };
}

export function encodeHeaderMatch(header: HeaderMatch): HeaderMatcher {
  const { name, match, invert } = header;
  if (match.kind === "present") {
    return { name, presentMatch: true, ...(invert ? { invertMatch: true } : {}) };
  }
  return {
    name,
    stringMatch: encodeStringMatch(match),
    ...(invert ? { invertMatch: true, treatMissingHeaderAsEmpty: true } : {}),
  };
}

/** All must match. */
export function decodeHeaderMatches(matcher: HeaderMatcher, path: string): readonly HeaderMatch[] {
  const match = decodeHeaderMatch(matcher, path);
  const mayBeAbsent = !match.invert || match.match.kind === "present";
  if (mayBeAbsent || matcher.treatMissingHeaderAsEmpty === true) return [match];
  return [match, { name: match.name, match: { kind: "present" }, invert: false }];
}

function decodeHeaderMatch(matcher: HeaderMatcher, path: string): HeaderMatch {
  const name = required(matcher.name, `${path}.name`);
  const { presentMatch, invertMatch: invert = false } = matcher;
  // `present_match: false` says that it must be absent.
  if (presentMatch !== undefined) {
    return { name, match: { kind: "present" }, invert: presentMatch === invert };
  }
  return { name, match: decodeStringMatch(matcher.stringMatch, `${path}.string_match`), invert };
}

type QueryMatch = RouteMatch["queryParameters"][number];

export function encodeQueryMatch(query: QueryMatch): QueryParameterMatcher {
  return query.match.kind === "present"
    ? { name: query.name, presentMatch: true }
    : { name: query.name, stringMatch: encodeStringMatch(query.match) };
}

export function decodeQueryMatch(matcher: QueryParameterMatcher, path: string): QueryMatch {
  return {
    name: required(matcher.name, `${path}.name`),
    match:
      matcher.presentMatch === true
        ? { kind: "present" }
        : decodeStringMatch(matcher.stringMatch, `${path}.string_match`),
  };
}

/** Refuses here, with the path, what could otherwise only be refused where the expression is first used. */
export function checked(regex: string, path: string): string {
  try {
    new RegExp(`^(?:${portableWhereRead(regex).replace(/^\(\?i\)/, "")})$`);
    return regex;
  } catch (cause) {
    throw new MeshError("xds.invalid", `${path}: regular expression`, { cause, fault: "peer" });
  }
}
