import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseReport, reportLimits } from "./parse.ts";

const edge = {
  source: "shop/web",
  destination: "shop/cart",
  protocol: "http",
  version: "v1",
  codes: { "200": 3 },
  flags: {},
  retries: 0,
  durations: [[61, 3]],
  durationSumMs: 30,
};

function report(more: object = {}): object {
  const nothing = { edges: [], serving: [], drops: [], losses: [], sidecars: [], taps: [] };
  return { node: "node-1", from: 1_000, to: 2_000, ...nothing, checks: [], ...more };
}

describe("a report", () => {
  test("is what was sent, without what nobody knows", () => {
    const sent = report({ edges: [edge], sidecars: ["shop/web-1"] });
    assert.deepEqual(parseReport({ ...sent, more: 1 }), sent);
  });

  for (const [what, value, problem] of [
    ["a text", "x", /observation: want an object, got "x"/],
    ["nothing", undefined, /want an object/],
    ["a node that is none", report({ node: 7 }), /node: want a text/],
    ["a span into the past", report({ to: 1 }), /to: want at most 60000 ms after from/],
    ["an hour", report({ to: 3_600_000 }), /to: want at most 60000 ms after from/],
    ["NaN", report({ from: Number.NaN }), /from: want a number/],
    [
      "a negative count",
      report({ edges: [{ ...edge, codes: { "200": -1 } }] }),
      /edges\[0\]\.codes\.200: want a number of at least 0, got -1/,
    ],
    [
      "a code that is none",
      report({ edges: [{ ...edge, codes: { __proto_: 1 } }] }),
      /edges\[0\]\.codes: want names like/,
    ],
    [
      "a protocol of its own",
      report({ edges: [{ ...edge, protocol: "x" }] }),
      /edges\[0\]\.protocol: want one of http, grpc, tcp, got "x"/,
    ],
    [
      "a bucket twice",
      report({
        edges: [
          {
            ...edge,
            durations: [
              [1, 1],
              [1, 1],
            ],
          },
        ],
      }),
      /edges\[0\]\.durations\[1\]: want \[bucket, count\]/,
    ],
    [
      "a bucket that is none",
      report({ edges: [{ ...edge, durations: [[1e9, 1]] }] }),
      /durations\[0\]/,
    ],
    [
      "a name without end",
      report({ edges: [{ ...edge, source: "x".repeat(600) }] }),
      /edges\[0\]\.source: want a text of at most 512/,
    ],
    [
      "too many edges",
      report({ edges: new Array(reportLimits.edges + 1).fill(edge) }),
      /edges: want at most 2000 entries, got 2001/,
    ],
    [
      "an edge that is null",
      report({ edges: [edge, null] }),
      /edges\[1\]: want an object, got null/,
    ],
  ] as const) {
    test(`with ${what} is refused whole, by path`, () => {
      assert.throws(() => parseReport(value), problem);
    });
  }
});
