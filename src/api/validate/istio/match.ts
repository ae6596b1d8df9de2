/** How Istio matches requests: texts by exact, prefix or regex, and the conditions made of them. */

import { portableRegex } from "../../../base/re2.ts";
import { type Check, refine } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import { boolean, integer, nonEmpty, portNumber, text } from "../schema/scalar.ts";

/** In RE2's syntax. */
export const regex: Check = text((value) => {
  try {
    new RegExp(portableRegex(value).replace(/^\(\?i\)/, ""));
    return undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message.split(": Invalid").at(-1) : "";
    const last = why?.split(/: (?=[A-Z])/).at(-1);
    return `must be a regular expression (${last?.toLowerCase()})`;
  }
});

type MatchForm = Readonly<Partial<Record<"exact" | "prefix" | "regex", string>>>;

/**
 * Exactly one of exact, prefix, regex. `mayBeAny`: an empty object means that the thing is there at all.
 * An empty prefix or regex matches everything, which nobody writes on purpose.
 */
function stringMatch(mayBeAny: boolean, mayBeEmpty = false): Check {
  return refine<MatchForm>(record({ exact: text(), prefix: text(), regex }), (value, at) => {
    const given = (["exact", "prefix", "regex"] as const).filter((key) => value[key] !== undefined);
    if (given.length > 1 || (given.length === 0 && !mayBeAny)) {
      const got = given.length === 0 ? "none" : given.join(", ");
      at.error(`must have exactly one of exact, prefix, regex, got ${got}`);
    }
    for (const key of ["prefix", "regex"] as const) {
      if (value[key] === "" && !mayBeEmpty) at.field(key).error('must not be empty, got ""');
    }
  });
}

/** RFC 9110 §5.6.2 token; pseudo-headers where `:` leads. */
export const headerName: Check = text((value) =>
  /^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(value) ? undefined : "must be a header name",
);

const headerMap = mapOf(stringMatch(true), headerName);

export const httpMatch: Check = record({
  name: text(),
  uri: stringMatch(false, true),
  scheme: stringMatch(false),
  method: stringMatch(false),
  authority: stringMatch(false),
  headers: headerMap,
  withoutHeaders: headerMap,
  queryParams: mapOf(stringMatch(true)),
  ignoreUriCase: boolean,
  port: portNumber,
  sourceLabels: mapOf(text()),
  sourceNamespace: text(),
  gateways: list(nonEmpty),
  statPrefix: text(),
});

/** As a list of `{ exact }` …: origins of CORS. */
export const originMatches: Check = list(stringMatch(false));

export const percentage: Check = record({ value: (value, at) => percentValue(value, at) });

const percentValue: Check = (value, at) => {
  if (typeof value !== "number") at.error(`must be a number, got ${typeof value}`);
  else if (value < 0 || value > 100) at.error(`must be 0..100, got ${value}`);
};

export const percent: Check = integer(0, 100);
