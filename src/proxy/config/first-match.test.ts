import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import type { RouteMatch } from "../../model/proxy-config.ts";
import { compileFirstMatch } from "./first-match.ts";
import { compileRouteMatch, type Subject } from "./matchers.ts";

describe("many routes", () => {
  const piece = fc.constantFrom("/", "/a", "/b", "/A", "a", "b/");
  const path = fc.array(piece, { maxLength: 4 }).map((pieces) => `/${pieces.join("")}`);
  const match: fc.Arbitrary<RouteMatch> = fc.record({
    path: fc.record({ kind: fc.constantFrom("exact", "prefix", "regex"), value: path }),
    ignoreCase: fc.boolean(),
    headers: fc.constantFrom(
      [],
      [{ name: "x-user", match: { kind: "present" as const }, invert: false }],
    ),
    queryParameters: fc.constant([]),
  });

  test("answer with the first that matches, as asking one after the other does", () => {
    fc.assert(
      fc.property(
        fc.array(match, { minLength: 9, maxLength: 40 }),
        fc.array(fc.tuple(path, fc.boolean()), { minLength: 1, maxLength: 20 }),
        (matches, requests) => {
          const routes = matches.map((one) => ({ match: one, matches: compileRouteMatch(one) }));
          const find = compileFirstMatch(routes);
          for (const [asked, hasUser] of requests) {
            const subject = requestFor(asked, hasUser);
            const expected = routes.find((route) => route.matches(subject));
            assert.equal(find(subject), expected);
          }
        },
      ),
    );
  });
});

function requestFor(path: string, hasUser: boolean): Subject {
  return {
    path,
    query: "",
    field: (name) => (name === "x-user" && hasUser ? "ann" : undefined),
    anyField: (name, takes) => name === "x-user" && hasUser && takes("ann"),
    destinationPort: 80,
    sourceAddress: "10.0.0.1",
    remoteAddress: "10.0.0.1",
    principal: undefined,
  };
}
