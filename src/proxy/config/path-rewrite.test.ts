import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RouteMatch } from "../../model/proxy-config.ts";
import { compileRewrite } from "./path-rewrite.ts";

const match = (path: RouteMatch["path"], ignoreCase = false) => ({ path, ignoreCase });

describe("a path", () => {
  for (const [what, route, rewrites, from, to] of [
    [
      "of a prefix",
      match({ kind: "prefix", value: "/a" }),
      { prefixRewrite: "/b" },
      "/a/c",
      "/b/c",
    ],
    ["of a whole", match({ kind: "exact", value: "/a" }), { prefixRewrite: "/b" }, "/a", "/b"],
    [
      "of an expression",
      match({ kind: "regex", value: "/a+/x" }),
      { prefixRewrite: "/b" },
      "/aa/x",
      "/b",
    ],
    [
      "whatever its case",
      match({ kind: "prefix", value: "/a" }, true),
      { prefixRewrite: "/b" },
      "/A/X",
      "/b/X",
    ],
    [
      "that loses its slash",
      match({ kind: "prefix", value: "/a" }),
      { prefixRewrite: "b" },
      "/a/c",
      "/b/c",
    ],
    [
      "by groups",
      match({ kind: "prefix", value: "/" }),
      { regexRewrite: { pattern: "^/(\\d+)/(x)?", substitution: "/n\\1\\2" } },
      "/7/y",
      "/n7y",
    ],
  ] as const) {
    test(`${what} is rewritten`, () => assert.equal(compileRewrite(route, rewrites)?.(from), to));
  }
});
