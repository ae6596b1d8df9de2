/** What holds for every demand: order, units, and answers that are numbers or sentences, never NaN. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { MeshError } from "../../base/error.ts";
import type { Outcome } from "./demand.ts";
import { erlangB, erlangC } from "./erlang.ts";
import { ggc } from "./ggc.ts";
import { mg1ProcessorSharing } from "./mg1.ts";
import { mgc } from "./mgc.ts";
import { mm1, mmc } from "./mmc.ts";
import { type Balancing, replicas, replicasFor, slowestOf } from "./replicas.ts";

const balancings: readonly Balancing[] = ["central", "random", "least-request", "round-robin"];
const scvs = fc.constantFrom(0, 0.25, 1, 2);
const counts = fc.integer({ min: 1, max: 8 });

function models(rho: number, servers: number, scv: number, unit = 1): Outcome[] {
  const arrivalsPerSecond = (rho * servers * 100) / unit;
  const base = { arrivalsPerSecond, serviceMs: 10 * unit, serviceScv: scv };
  return [
    mmc({ ...base, servers }),
    mgc({ ...base, servers }),
    ggc({ ...base, servers, arrivalScv: 1.5 }),
    ...balancings.map((balancing) => replicas({ ...base, replicas: servers, balancing })),
  ];
}

function p99s(outcomes: readonly Outcome[]): number[] {
  return outcomes.map((outcome) =>
    outcome.kind === "steady" ? outcome.quantileMs(0.99) : Number.POSITIVE_INFINITY,
  );
}

describe("every queueing model", () => {
  test("is slower under more load", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 0.9, noNaN: true }),
        counts,
        scvs,
        (rho, servers, scv) => {
          const here = models(rho, servers, scv);
          const busier = models(rho + 0.05, servers, scv);
          for (const [i, outcome] of here.entries()) {
            const next = busier[i];
            if (outcome.kind !== "steady" || next?.kind !== "steady") continue;
            assert.ok(next.meanWaitMs >= outcome.meanWaitMs, outcome.model);
            assert.ok(
              next.quantileMs(0.99) >= outcome.quantileMs(0.99) * (1 - 1e-6),
              outcome.model,
            );
          }
        },
      ),
      { numRuns: 25, seed: 1 },
    );
  });

  test("has quantiles in order, and gives finite numbers only", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        counts,
        scvs,
        (rho, servers, scv) => {
          for (const outcome of models(rho, servers, scv)) {
            if (outcome.kind !== "steady") continue;
            const values = [0.1, 0.5, 0.9, 0.99, 0.999].map(outcome.quantileMs);
            for (const [i, value] of values.entries())
              assert.ok(
                Number.isFinite(value) && value >= (values[i - 1] ?? 0) * (1 - 1e-6),
                outcome.model,
              );
            for (const value of [
              outcome.meanResponseMs,
              outcome.meanInSystem,
              outcome.waitProbability,
            ])
              assert.ok(Number.isFinite(value), outcome.model);
            assert.equal(outcome.tail(0), 1);
          }
        },
      ),
      { numRuns: 20, seed: 2 },
    );
  });

  test("does not care whether times are told in ms or in thousands of them", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 0.95, noNaN: true }),
        counts,
        scvs,
        (rho, servers, scv) => {
          const small = p99s(models(rho, servers, scv));
          const large = p99s(models(rho, servers, scv, 1000));
          for (const [i, value] of small.entries())
            assert.ok(Math.abs((large[i] ?? 0) / value / 1000 - 1) < 1e-6);
        },
      ),
      { numRuns: 10, seed: 3 },
    );
  });

  test("says of a load at or beyond capacity that it is unbounded, and how many servers it takes", () => {
    for (const rho of [1, 1.0001, 7]) {
      for (const outcome of models(rho, 4, 1)) {
        assert.ok(outcome.kind === "unbounded");
        assert.equal(outcome.utilisation, rho);
        assert.equal(outcome.capacityPerSecond, 400);
        assert.equal(outcome.serversNeeded, Math.floor(rho * 4) + 1);
      }
    }
    assert.equal(mg1ProcessorSharing({ arrivalsPerSecond: 100, serviceMs: 10 }).kind, "unbounded");
  });

  test("without arrivals answers with the service time alone", () => {
    for (const outcome of models(0, 2, 0.25)) {
      assert.ok(outcome.kind === "steady");
      assert.equal(outcome.meanResponseMs, 10);
    }
  });

  test("refuses what means nothing, in words", () => {
    const refused = (act: () => unknown, words: RegExp): void => {
      assert.throws(act, (error) => {
        assert.ok(error instanceof MeshError && error.code === "queueing.domain");
        assert.match(error.message, words);
        return true;
      });
    };
    refused(
      () => mm1({ arrivalsPerSecond: -1, serviceMs: 10 }),
      /arrivals per second must be .* at least 0, got -1/,
    );
    refused(
      () => mm1({ arrivalsPerSecond: 1, serviceMs: 0 }),
      /service time in ms must be .* above 0, got 0/,
    );
    refused(() => mm1({ arrivalsPerSecond: Number.NaN, serviceMs: 1 }), /got NaN/);
    refused(
      () => mmc({ arrivalsPerSecond: 1, serviceMs: 1, servers: 1.5 }),
      /whole number of at least 1, got 1.5/,
    );
    refused(() => mgc({ arrivalsPerSecond: 1, serviceMs: 1, servers: 1, serviceScv: -1 }), /SCV/);
    refused(() => erlangC(2, 2), /below the number of servers, got 2 for 2/);
    refused(() => erlangB(-1, 2), /number of servers/);
    const one = mm1({ arrivalsPerSecond: 1, serviceMs: 1 });
    if (one.kind === "steady") refused(() => one.quantileMs(1), /above 0 and below 1, got 1/);
  });
});

describe("replicas", () => {
  test("are never better than one queue for all, nor worse than choosing at random", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 0.95, noNaN: true }),
        counts,
        fc.integer({ min: 1, max: 20 }),
        (rho, count, clients) => {
          const base = {
            arrivalsPerSecond: rho * count * 100,
            serviceMs: 10,
            serviceScv: 1,
            replicas: count,
            clients,
          };
          const [central, random, least, turns] = p99s(
            balancings.map((balancing) => replicas({ ...base, balancing })),
          );
          for (const between of [least, turns])
            assert.ok(
              (central ?? 0) <= (between ?? 0) * (1 + 1e-9) &&
                (between ?? 0) <= (random ?? 0) * (1 + 1e-9),
            );
        },
      ),
      { numRuns: 50, seed: 4 },
    );
  });

  test("are as many as an objective takes, and no more", () => {
    const demand = {
      arrivalsPerSecond: 500,
      serviceMs: 10,
      serviceScv: 1,
      replicas: 1,
      balancing: "least-request" as const,
    };
    const enough = replicasFor(demand, 0.99, 80);
    const [few, just] = p99s(
      [enough - 1, enough].map((count) => replicas({ ...demand, replicas: count })),
    );
    assert.ok((just ?? 0) <= 80 && (few ?? 0) > 80);
    assert.throws(
      () => replicasFor(demand, 0.99, 20),
      /no number of replicas .* the service time alone/,
    );
  });

  test("add their overhead to each response", () => {
    const demand = {
      arrivalsPerSecond: 50,
      serviceMs: 10,
      serviceScv: 1,
      replicas: 1,
      balancing: "random" as const,
    };
    const [plain, later] = p99s([replicas(demand), replicas({ ...demand, overheadMs: 3 })]);
    assert.ok(Math.abs((later ?? 0) - (plain ?? 0) - 3) < 1e-9);
  });

  test("make the slowest of several calls", () => {
    assert.ok(Math.abs(slowestOf(100, 0.01) - (1 - 0.99 ** 100)) < 1e-12);
  });
});
