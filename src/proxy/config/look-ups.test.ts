import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StringMatch } from "../../model/proxy-config.ts";
import { normalizePath, parseTarget } from "../codec/target.ts";
import { compileEdits } from "./header-edits.ts";
import { compileRouteMatch, type Subject } from "./matchers.ts";
import { spiffeIdentity } from "./tls-contexts.ts";
import { compileHosts } from "./virtual-hosts.ts";

describe("a virtual host", () => {
  const table = compileHosts(
    ["cart:80", "cart", "*.shop.local", "*.local", "cart.*", "*-x.shop.local"].map((domain) => ({
      name: domain,
      domains: [domain],
      routes: [],
    })),
    (host) => host.name,
  );
  for (const [authority, found] of [
    ["cart", "cart"],
    ["cart:80", "cart:80"],
    ["cart:81", "cart"],
    ["CART", "cart"],
    ["a.shop.local", "*.shop.local"],
    ["a-x.shop.local", "*-x.shop.local"],
    ["shop.local", "*.local"],
    ["a.shop.local:8080", "*.shop.local"],
    ["cart.example", "cart.*"],
    ["other", undefined],
    ["", undefined],
  ] as const) {
    test(`for ${JSON.stringify(authority)} is ${found}`, () => {
      assert.equal(table.find(authority), found);
    });
  }
});

describe("a path", () => {
  for (const [raw, path] of [
    ["/a/b", "/a/b"],
    ["/a//b", "/a//b"],
    ["/a/./b", "/a/b"],
    ["/a/../b", "/b"],
    ["/a/..", "/"],
    ["/a/b/.", "/a/b/"],
    ["/..", undefined],
    ["/%2e%2e/b", undefined],
    ["/a/%2E%2e/b", "/b"],
    ["/a\\b", "/a/b"],
    ["/%61", "/a"],
    ["/a%2fb", "/a%2Fb"],
    ["/a%5cb", "/a%5Cb"],
    ["/%zz", undefined],
    ["/%", undefined],
    ["/%00", undefined],
    ["/.well-known", "/.well-known"],
    ["/a.b/..c", "/a.b/..c"],
  ] as const) {
    test(`written ${raw} is ${path}`, () => {
      assert.equal(normalizePath(raw), path);
      if (path !== undefined) assert.equal(normalizePath(path), path);
    });
  }

  test("is taken out of every form of target", () => {
    const parse = (target: string) => parseTarget(target, "GET");
    assert.deepEqual(parse("/a?b=/../c"), {
      path: "/a",
      query: "?b=/../c",
      authority: undefined,
    });
    assert.deepEqual(parse("/\u00e4?\u00e4=1"), {
      path: "/%E4",
      query: "?%E4=1",
      authority: undefined,
    });
    assert.deepEqual(parse("http://h:1/a?b"), { path: "/a", query: "?b", authority: "h:1" });
    assert.deepEqual(parse("http://h?b"), { path: "/", query: "?b", authority: "h" });
    const asterisk = { path: "*", query: "", authority: undefined };
    assert.deepEqual(parseTarget("*", "OPTIONS"), asterisk);
    const ofHost = { ...asterisk, authority: "h:1" };
    assert.deepEqual(parseTarget("http://h:1", "OPTIONS"), ofHost);
    assert.equal(parseTarget("http://h:1/", "OPTIONS")?.path, "/");
    assert.equal(parseTarget("http://h:1?b", "OPTIONS")?.path, "/");
    assert.equal(parse("*"), undefined);
    assert.equal(parse("host:443"), undefined);
    assert.equal(parseTarget("/", "CONNECT"), undefined);
    for (const host of ["u@h", "h,i", "h:", "h:80:80", "h:port", "[::1", "h\\i", '"h"']) {
      assert.equal(parse(`http://${host}/`)?.authority, host === "h:" ? host : undefined, host);
    }
  });
});

describe("a route's match", () => {
  const subject = (path: string, fields: Record<string, string>, query = ""): Subject => ({
    path,
    query,
    field: (name) => fields[name],
    anyField: (name, takes) => (fields[name]?.split(" | ") ?? []).some(takes),
    destinationPort: 80,
    sourceAddress: "10.0.0.1",
    remoteAddress: "10.0.0.1",
    principal: undefined,
  });
  const header = (match: StringMatch, invert = false) =>
    compileRouteMatch({
      path: { kind: "prefix", value: "/" },
      headers: [{ name: "X-User", match, invert }],
      queryParameters: [],
    });

  for (const [match, value, matches] of [
    [{ kind: "exact", value: "a" }, "a", true],
    [{ kind: "exact", value: "a" }, "A", false],
    [{ kind: "prefix", value: "a" }, "ab", true],
    [{ kind: "suffix", value: "b" }, "ab", true],
    [{ kind: "regex", value: "a+" }, "aa", true],
    [{ kind: "regex", value: "a+" }, "aab", false],
    [{ kind: "regex", value: "(?i)a" }, "A", true],
    [{ kind: "present" }, "", true],
    [{ kind: "present" }, undefined, false],
    [{ kind: "exact", value: "a" }, undefined, false],
  ] as const) {
    test(`${JSON.stringify(match)} of ${value} is ${matches}, and inverted the opposite`, () => {
      const fields: Record<string, string> = value === undefined ? {} : { "x-user": value };
      assert.equal(header(match)(subject("/", fields)), matches);
      assert.equal(header(match, true)(subject("/", fields)), !matches);
    });
  }

  test("ignores the case of paths where told", () => {
    const match = { headers: [], queryParameters: [], ignoreCase: true };
    for (const path of [
      { kind: "exact", value: "/Ab" },
      { kind: "prefix", value: "/A" },
    ] as const) {
      assert.equal(compileRouteMatch({ ...match, path })(subject("/aB", {})), true);
    }
    const path = { kind: "regex", value: "/ab" } as const;
    assert.equal(compileRouteMatch({ ...match, path })(subject("/aB", {})), false, "as with Envoy");
  });

  test("compares query parameters as they are written", () => {
    const matching = (match: StringMatch) =>
      compileRouteMatch({
        path: { kind: "prefix", value: "/" },
        headers: [],
        queryParameters: [{ name: "q", match }],
      });
    const match = matching({ kind: "exact", value: "a%20b" });
    assert.equal(match(subject("/", {}, "?x=1&q=a%20b")), true);
    assert.equal(match(subject("/", {}, "?x=1&q=a+b")), false);
    assert.equal(match(subject("/", {}, "?q=c&q=a%20b")), false, "the first counts");
    assert.equal(match(subject("/", {})), false);
    assert.equal(matching({ kind: "present" })(subject("/", {}, "?q")), true);
  });

  test("cannot be hidden from by another line of the same field", () => {
    const fields = { "x-user": "guest | admin" };
    assert.equal(header({ kind: "exact", value: "admin" })(subject("/", fields)), true);
    assert.equal(header({ kind: "exact", value: "admin" }, true)(subject("/", fields)), false);
    assert.equal(header({ kind: "prefix", value: "root" })(subject("/", fields)), false);
  });
});

describe("header edits", () => {
  test("apply one after the other, and cannot break a line or the framing", () => {
    const edit = compileEdits([
      { set: [["X-A", "1"]], add: [["x-b", "2"]], remove: ["Content-Length", "X-C"] },
      undefined,
      { set: [["x-a", "3\r\nevil: 1"]], add: [["host", "inner"]], remove: [] },
    ]);
    assert.deepEqual([...(edit?.dropped ?? [])], ["x-c", "x-a"]);
    assert.equal(edit?.lines, "x-b: 2\r\nx-a: 3  evil: 1\r\n");
    assert.equal(edit?.authority, "inner");
    assert.equal(compileEdits([undefined]), undefined);
  });
});

describe("a peer's identity", () => {
  for (const [names, identity] of [
    ["URI:spiffe://cluster.local/ns/a/sa/b", "cluster.local/ns/a/sa/b"],
    ["DNS:x, URI:spiffe://cluster.local/ns/a/sa/b", "cluster.local/ns/a/sa/b"],
    ["URI:spiffe://cluster.local/ns/a/sa/b, URI:spiffe://cluster.local/ns/a/sa/c", undefined],
    ["URI:spiffe://cluster.local.evil/ns/a/sa/b", undefined],
    ["URI:https://cluster.local/ns/a/sa/b", undefined],
    ['DNS:"x, URI:spiffe://cluster.local/ns/a/sa/b"', undefined],
    ["DNS:x", undefined],
    [undefined, undefined],
  ] as const) {
    test(`by ${names} is ${identity}`, () => {
      assert.equal(spiffeIdentity(names, "cluster.local"), identity);
    });
  }
});
