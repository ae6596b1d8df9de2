import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HealthCheck } from "../../model/proxy-config.ts";
import { nextHealth, type ProbeResult, unchecked } from "./health-state.ts";

const check: HealthCheck = {
  probe: { kind: "tcp", send: "", receive: [] },
  timeoutMs: 100,
  intervalMs: 100,
  unhealthyThreshold: 3,
  healthyThreshold: 2,
};
const results: Readonly<Record<string, ProbeResult>> = {
  p: "passed",
  f: "failed",
  r: "refused",
  u: "unknown",
};

describe("an endpoint's health, with three failures and two successes", () => {
  // After each result: w is well, U is unwell.
  const table: readonly (readonly [results: string, states: string])[] = [
    ["pppp", "wwww"],
    ["f", "U"],
    ["fppp", "UUww"],
    ["pfff", "wwwU"],
    ["pffpff", "wwwwww"],
    ["pr", "wU"],
    ["pfffpfpp", "wwwUUUUw"],
    ["ufu", "wUU"],
    ["pffuf", "wwwwU"],
  ];
  for (const [given, wanted] of table) {
    test(`after ${given} has been ${wanted}`, () => {
      let state = unchecked;
      let seen = "";
      for (const one of given) {
        state = nextHealth(state, results[one] ?? "unknown", check);
        seen += state.isUnwell ? "U" : "w";
      }
      assert.equal(seen, wanted);
    });
  }
});
