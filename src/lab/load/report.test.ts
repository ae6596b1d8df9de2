import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseRate, parseSeconds, renderLoad } from "./report.ts";

describe("a load report", () => {
  test("tells good answers from failures", () => {
    const text = renderLoad({
      url: "http://web/",
      startedAt: 0,
      seconds: 2,
      samples: [
        [0, 10, 200],
        [500, 30, 200],
        [900, 1, 503],
      ],
      failures: { "answered with 503": 1 },
    });
    assert.equal(
      text,
      [
        "http://web/: 3 requests in 2 s, 1.5/s",
        "  2 good: mean 20.0 ms, p50 30.0 ms, p90 30.0 ms, p99 30.0 ms",
        "  1 failed: answered with 503",
      ].join("\n"),
    );
  });

  test("has no latencies where nothing was answered", () => {
    const none = { url: "http://web/", startedAt: 0, seconds: 1, samples: [], failures: {} };
    assert.equal(renderLoad(none), "http://web/: 0 requests in 1 s, 0.0/s");
  });
});

describe("the options of a load", () => {
  test("take durations with and without a unit", () => {
    assert.deepEqual(["20s", "2m", "1.5", "500ms"].map(parseSeconds), [20, 120, 1.5, 0.5]);
  });

  test("refuse what is no duration or rate, and say what is wanted", () => {
    for (const text of ["", "20h", "-1", "0", "2d", "1e9"])
      assert.throws(() => parseSeconds(text), { code: "cli.usage" }, text);
    for (const text of ["0", "-5", "many", "1e6", "NaN"])
      assert.throws(() => parseRate(text), { code: "cli.usage" }, text);
  });
});
