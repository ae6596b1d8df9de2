/**
 * Erlang C, M/M/c and Pollaczek–Khinchine, to ten digits: from the defining formulas in exact rational arithmetic, made
 * outside of this code base with Python's `fractions`, because printed tables have three or four digits. The models
 * must agree to 1e-6.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Outcome } from "./demand.ts";
import { erlangB, erlangC } from "./erlang.ts";
import { mg1 } from "./mg1.ts";
import { mmc } from "./mmc.ts";

const utilisations = [0.3, 0.5, 0.7, 0.9] as const;

/** Share that waits, C(c, cρ), by servers c. */
const erlangTable: readonly (readonly [number, ...number[]])[] = [
  [1, 0.3, 0.5, 0.7, 0.9],
  [2, 0.1384615385, 0.3333333333, 0.5764705882, 0.8526315789],
  [3, 0.07002881844, 0.2368421053, 0.4923444976, 0.8170610212],
  [4, 0.03704974271, 0.1739130435, 0.4286543182, 0.7877532643],
  [5, 0.02013923421, 0.1303712975, 0.3778382267, 0.7624932207],
  [8, 0.003537349792, 0.0590439947, 0.2706029322, 0.7015329901],
  [10, 0.001157295326, 0.03610535916, 0.2217312159, 0.6687315241],
  [20, 5.321516315e-6, 0.003731126044, 0.09356124347, 0.5507690048],
  [50, 9.161631335e-13, 7.204326722e-6, 0.01102507468, 0.3638644672],
];

/** Mean number waiting in M/M/c, by servers c. */
const waitingTable: readonly (readonly [number, ...number[]])[] = [
  [1, 0.1285714286, 0.5, 1.633333333, 8.1],
  [2, 0.05934065934, 0.3333333333, 1.345098039, 7.673684211],
  [3, 0.03001235076, 0.2368421053, 1.148803828, 7.353549191],
  [4, 0.01587846116, 0.1739130435, 1.000193409, 7.089779379],
  [5, 0.008631100377, 0.1303712975, 0.881622529, 6.862438987],
  [8, 0.001516007054, 0.0590439947, 0.6314068419, 6.313796911],
  [10, 0.0004959837112, 0.03610535916, 0.5173728371, 6.018583717],
  [20, 2.280649849e-6, 0.003731126044, 0.2183095681, 4.956921043],
];

/** Mean number waiting in M/G/1, by the service time's SCV: Pollaczek and Khinchine. */
const pollaczekTable: readonly (readonly [number, ...number[]])[] = [
  [0, 0.06428571429, 0.25, 0.8166666667, 4.05],
  [0.1, 0.07071428571, 0.275, 0.8983333333, 4.455],
  [0.25, 0.08035714286, 0.3125, 1.020833333, 5.0625],
  [0.5, 0.09642857143, 0.375, 1.225, 6.075],
  [1, 0.1285714286, 0.5, 1.633333333, 8.1],
  [4, 0.3214285714, 1.25, 4.083333333, 20.25],
];

function eachOf(
  table: readonly (readonly [number, ...number[]])[],
  value: (parameter: number, utilisation: number) => number,
): void {
  for (const [parameter, ...row] of table) {
    for (const [i, expected] of row.entries()) {
      const utilisation = utilisations[i] ?? 0;
      const error = Math.abs(value(parameter, utilisation) - expected) / expected;
      assert.ok(error < 1e-6, `${parameter} at ${utilisation}: off by ${error}`);
    }
  }
}

function waiting(outcome: Outcome, arrivalsPerSecond: number): number {
  if (outcome.kind !== "steady") assert.fail("has no bound");
  return (arrivalsPerSecond * outcome.meanWaitMs) / 1000;
}

describe("the tables of queues", () => {
  test("have Erlang's C", () => {
    eachOf(erlangTable, (servers, utilisation) => erlangC(servers, servers * utilisation));
  });

  // As tests of other projects have them: B by floating point (10 and 190 servers), C to four digits.
  test("agree with what others print", () => {
    for (const [servers, offered, expected] of [
      [10, 20, 0.5379631686320729],
      [190, 200, 0.08869684386923561],
    ] as const) {
      assert.ok(Math.abs(erlangB(servers, offered) / expected - 1) < 1e-12);
    }
    assert.equal(erlangC(132, 123).toFixed(4), "0.3211");
    assert.equal(erlangC(12_421, 12_345).toFixed(4), "0.3812");
  });

  test("have the mean number waiting for c servers", () => {
    eachOf(waitingTable, (servers, utilisation) => {
      const arrivalsPerSecond = 100 * servers * utilisation;
      return waiting(mmc({ arrivalsPerSecond, serviceMs: 10, servers }), arrivalsPerSecond);
    });
  });

  test("have Pollaczek and Khinchine's mean number waiting", () => {
    eachOf(pollaczekTable, (serviceScv, utilisation) => {
      const arrivalsPerSecond = 100 * utilisation;
      return waiting(mg1({ arrivalsPerSecond, serviceMs: 10, serviceScv }), arrivalsPerSecond);
    });
  });
});
