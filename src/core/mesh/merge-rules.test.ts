/** What becomes of a rule that delegates and one that it delegates to, held against Istio's own tables where they lie. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import type { HttpRoute } from "../../api/istio/networking.ts";
import { mergeRules } from "./merge-rules.ts";

/** The merged rule, or the field that conflicts. */
function merged(root: string, own: string): HttpRoute | string {
  const made = mergeRules(parse(root) as HttpRoute, parse(own) as HttpRoute);
  return made.kind === "merged" ? made.rule : made.field;
}

describe("a rule and its delegate's", () => {
  const pairs: readonly (readonly [root: string, own: string, joined: string])[] = [
    // One text in the place of another.
    ["{}", "uri: { prefix: /a }", "uri: { prefix: /a }"],
    ["uri: { prefix: /a }", "{}", "uri: { prefix: /a }"],
    ["uri: { prefix: /a }", "uri: { prefix: /a/b }", "uri: { prefix: /a/b }"],
    ["uri: { prefix: /a }", "uri: { prefix: /a }", "uri: { prefix: /a }"],
    ["uri: { prefix: /a }", "uri: { exact: /ab }", "uri: { exact: /ab }"],
    ["uri: { prefix: /a/b }", "uri: { prefix: /a }", "match[0].uri"],
    ["uri: { prefix: /a }", "uri: { exact: /b }", "match[0].uri"],
    ["uri: { exact: /a }", "uri: { exact: /a }", "uri: { exact: /a }"],
    ["uri: { exact: /a }", "uri: { exact: /b }", "match[0].uri"],
    ["uri: { exact: /a }", "uri: { prefix: /a }", "match[0].uri"],
    // Of expressions nobody can say what they take.
    ["uri: { regex: /a.* }", "{}", "uri: { regex: /a.* }"],
    ["{}", "uri: { regex: /a.* }", "uri: { regex: /a.* }"],
    ["uri: { regex: /a.* }", "uri: { regex: /a.* }", "match[0].uri"],
    ["uri: { regex: /a.* }", "uri: { exact: /a }", "match[0].uri"],
    ["uri: { prefix: / }", "uri: { regex: /a.* }", "match[0].uri"],
    // The other texts.
    ["scheme: { exact: https }", "scheme: { exact: http }", "match[0].scheme"],
    ["method: { exact: GET }", "method: { prefix: GE }", "match[0].method"],
    ["authority: { prefix: a. }", "authority: { exact: a.b }", "authority: { exact: a.b }"],
    // Maps add up.
    [
      "headers: { x: { exact: '1' } }",
      "headers: { y: { exact: '2' } }",
      "headers: { x: { exact: '1' }, y: { exact: '2' } }",
    ],
    [
      "headers: { x: { prefix: a } }",
      "headers: { x: { exact: ab } }",
      "headers: { x: { exact: ab } }",
    ],
    ["headers: { x: { exact: a } }", "headers: { x: { exact: b } }", 'match[0].headers["x"]'],
    ["headers: { x: {} }", "headers: { x: { exact: b } }", 'match[0].headers["x"]'],
    ["headers: { x: {} }", "{}", "headers: { x: {} }"],
    [
      "withoutHeaders: { x: { prefix: a } }",
      "withoutHeaders: { x: { exact: ab }, y: {} }",
      "withoutHeaders: { x: { exact: ab }, y: {} }",
    ],
    [
      "withoutHeaders: { x: { exact: a } }",
      "withoutHeaders: { x: { exact: b } }",
      'match[0].withoutHeaders["x"]',
    ],
    [
      "queryParams: { q: { exact: '1' } }",
      "queryParams: { q: { exact: '2' } }",
      'match[0].queryParams["q"]',
    ],
    [
      "sourceLabels: { app: web }",
      "sourceLabels: { version: v1 }",
      "sourceLabels: { app: web, version: v1 }",
    ],
    ["sourceLabels: { app: web }", "sourceLabels: { app: cart }", 'match[0].sourceLabels["app"]'],
    // Single values.
    ["port: 80", "{}", "port: 80"],
    ["{}", "port: 80", "port: 80"],
    ["port: 80", "port: 81", "match[0].port"],
    ["ignoreUriCase: true", "ignoreUriCase: true", "ignoreUriCase: true"],
    ["ignoreUriCase: true", "{}", "match[0].ignoreUriCase"],
    ["{}", "sourceNamespace: shop", "sourceNamespace: shop"],
    ["sourceNamespace: shop", "sourceNamespace: shop", "sourceNamespace: shop"],
    ["sourceNamespace: shop", "{}", "match[0].sourceNamespace"],
    ["gateways: [a/b, mesh]", "gateways: [mesh]", "gateways: [mesh]"],
    ["gateways: [a/b]", "{}", "gateways: [a/b]"],
    ["gateways: [a/b]", "gateways: [a/b, mesh]", "match[0].gateways"],
    // Names are joined.
    ["name: r", "name: d", "name: r-d"],
    ["name: r", "{}", "name: r"],
    ["{}", "name: d", "name: d"],
  ];
  for (const [root, own, joined] of pairs) {
    test(`of which one takes { ${root} } and the other { ${own} } take ${joined}`, () => {
      const matching = (fields: string) =>
        `match: [${fields.startsWith("{") ? fields : `{ ${fields} }`}]`;
      const conflicts = joined.startsWith("match");
      const wanted = conflicts ? joined : parse(matching(joined));
      assert.deepEqual(merged(matching(root), matching(own)), wanted);
    });
  }

  test("without matches take what the other takes", () => {
    const match = "match: [{ uri: { prefix: /a } }, { port: 80 }]";
    assert.deepEqual(merged(match, "{}"), parse(match));
    assert.deepEqual(merged("{}", match), parse(match));
    assert.deepEqual(merged("{}", "{}"), {});
  });

  test("with several matches take every pair that fits, in the delegate's order", () => {
    const root =
      "match: [{ uri: { prefix: /a }, port: 80 }, { uri: { prefix: /b } }, { port: 81 }]";
    const own = "match: [{ uri: { exact: /b/1 } }, { uri: { exact: /a/1 }, port: 80 }]";
    const made = mergeRules(parse(root), parse(own));
    assert.ok(made.kind === "merged");
    assert.deepEqual(made.rule.match, [
      { uri: { exact: "/b/1" } },
      { uri: { exact: "/b/1" }, port: 81 },
      { uri: { exact: "/a/1" }, port: 80 },
    ]);
    assert.deepEqual(made.origins, [
      { root: 1, own: 0 },
      { root: 2, own: 0 },
      { root: 0, own: 1 },
    ]);
  });

  test("of which one match fits nowhere are nothing, though another fits", () => {
    const own = "match: [{ uri: { prefix: /a/1 } }, { uri: { prefix: /c } }]";
    assert.equal(
      merged("match: [{ uri: { prefix: /a } }, { port: 80, uri: { exact: /b } }]", own),
      "match[1].uri",
    );
  });

  test("leave everything but matches and names to the delegate, and to the root where it says nothing", () => {
    const root = `
      name: r
      delegate: { name: d }
      rewrite: { uri: /r }
      timeout: 1s
      retries: { attempts: 1 }
      fault: { abort: { httpStatus: 501 } }
      mirror: { host: r }
      mirrorPercentage: { value: 1 }
      mirror_percent: 0
      mirrors: [{ destination: { host: r } }]
      corsPolicy: { allowMethods: [GET] }
      headers: { request: { set: { x: r } } }`;
    const { delegate: _, ...given } = parse(root);
    const route = "route: [{ destination: { host: d } }]";
    assert.deepEqual(merged(root, route), { ...given, ...parse(route) });
    const own = parse(
      root
        .replaceAll("r }", "d }")
        .replace("name: r", "name: d")
        .replace("delegate: { name: d }", ""),
    );
    assert.deepEqual(merged(root, JSON.stringify({ ...own, timeout: "2s" })), {
      ...own,
      name: "r-d",
      timeout: "2s",
    });
  });

  test("are one answer where the root's has it, and no redirect of the root's", () => {
    const root = "{ directResponse: { status: 503 }, redirect: { uri: /r } }";
    assert.deepEqual(merged(root, "{}"), { directResponse: { status: 503 } });
  });
});

const file = fileURLToPath(
  new URL(
    "../../../../shared/conformance/istio-tables/pilot_pkg_model_virtualservice.json",
    import.meta.url,
  ),
);
const skip = existsSync(file)
  ? false
  : "needs ../shared/conformance/istio-tables beside the checkout";

describe("Istio's table of", { skip }, () => {
  interface Case {
    readonly name: string;
    readonly root: never;
    readonly leaf?: never;
    readonly delegate: never;
    readonly expected: unknown;
  }
  const tables: readonly {
    readonly decl: string;
    readonly items: readonly { readonly value: readonly Case[] }[];
  }[] = skip === false ? JSON.parse(readFileSync(file, "utf8")) : [];
  const casesOf = (decl: string): readonly Case[] => {
    const cases = tables.find((table) => table.decl === decl)?.items[0]?.value ?? [];
    assert.ok(cases.length > 3);
    return cases;
  };
  const mergedOf = (root: unknown, own: unknown): HttpRoute | undefined => {
    const made = mergeRules(root as HttpRoute, own as HttpRoute);
    return made.kind === "merged" ? made.rule : undefined;
  };

  test("merged routes agrees", () => {
    for (const { name, root, delegate, expected } of casesOf("TestMergeHttpRoutes")) {
      const rules = (delegate as readonly HttpRoute[]).flatMap((own) => mergedOf(root, own) ?? []);
      assert.deepEqual(rules, expected, name);
    }
  });

  test("merged matches agrees", () => {
    for (const { name, root, delegate, expected } of casesOf("TestMergeHTTPMatchRequests")) {
      const rule = mergedOf({ match: root }, { match: delegate });
      assert.deepEqual(rule?.match ?? null, expected, name);
    }
  });

  test("conflicts agrees", () => {
    for (const { name, root, leaf, expected } of casesOf("TestHasConflict")) {
      const rule = mergedOf({ match: [root] }, { match: [leaf] });
      assert.equal(rule === undefined, expected, name);
    }
  });
});
