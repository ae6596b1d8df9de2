/** Models against a seeded simulation, and fits to what it shows, within stated tolerances. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  constantService,
  erlangService,
  exponentialService,
  meanOf,
  quantileOf,
  type Simulation,
  simulate,
} from "../../../test/queueing/simulate.ts";
import { fitOverhead, fitService, type Observation } from "./fit.ts";
import type { Bucket } from "./histogram.ts";
import { type Balancing, type ReplicatedDemand, replicas } from "./replicas.ts";

const bounds = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, Number.POSITIVE_INFINITY];
const services = {
  constant: { serviceScv: 0, draw: constantService(8) },
  erlang: { serviceScv: 0.25, draw: erlangService(4, 8) },
  exponential: { serviceScv: 1, draw: exponentialService(8) },
} as const;

interface Case {
  readonly balancing: Balancing;
  readonly count: number;
  readonly rho: number;
  readonly service: keyof typeof services;
  readonly clients?: number;
}

function demandOf({ balancing, count, rho, service, clients = 1 }: Case): ReplicatedDemand {
  const { serviceScv } = services[service];
  return {
    arrivalsPerSecond: rho * count * 125,
    serviceMs: 8,
    serviceScv,
    replicas: count,
    balancing,
    clients,
  };
}

function measure(each: Case, requests: number): Float64Array {
  const { arrivalsPerSecond, replicas: count, balancing: queue, clients = 1 } = demandOf(each);
  const simulation: Simulation = {
    arrivalsPerSecond,
    replicas: count,
    queue,
    clients,
    service: services[each.service].draw,
    requests,
    seed: 3,
  };
  return simulate(simulation);
}

function compare(each: Case, p50Tolerance: number, p99Tolerance: number, requests = 50_000): void {
  const outcome = replicas(demandOf(each));
  assert.ok(outcome.kind === "steady");
  const measured = measure(each, requests);
  for (const [q, tolerance] of [
    [0.5, p50Tolerance],
    [0.99, p99Tolerance],
  ] as const) {
    const error: number = outcome.quantileMs(q) / quantileOf(measured, q) - 1;
    assert.ok(
      Math.abs(error) <= tolerance,
      `${JSON.stringify(each)} p${q * 100}: ${(error * 100).toFixed(1)} %`,
    );
  }
}

describe("a prediction for one, two and four replicas at a load of 0.3, 0.5 and 0.7", () => {
  for (const balancing of ["central", "random", "round-robin"] as const) {
    test(`of ${balancing} lies within 3 % at p50 and 7 % at p99`, () => {
      for (const service of ["constant", "exponential"] as const)
        for (const count of [1, 2, 4])
          for (const rho of [0.3, 0.5, 0.7])
            compare({ balancing, count, rho, service }, 0.03, 0.07);
    });
  }

  test("of least-request lies within 7 % at p50 and 10 % at p99, with one client and with three", () => {
    for (const clients of [1, 3])
      for (const service of ["constant", "erlang", "exponential"] as const)
        for (const count of [1, 2, 4])
          for (const rho of [0.3, 0.5, 0.7])
            compare({ balancing: "least-request", count, rho, service, clients }, 0.07, 0.1);
  });

  test("of several clients that take turns lies within 10 % at p50 and 12 % at p99", () => {
    for (const service of ["constant", "exponential"] as const)
      for (const count of [2, 4])
        for (const rho of [0.3, 0.5, 0.7])
          compare({ balancing: "round-robin", count, rho, service, clients: 3 }, 0.1, 0.12);
  });

  test("of a central queue with some spread in its service lies within 3 % at p50 and 7 % at p99", () => {
    for (const count of [2, 4])
      for (const rho of [0.3, 0.7])
        compare({ balancing: "central", count, rho, service: "erlang" }, 0.03, 0.07);
  });
});

function observe(each: Case, requests: number, overheadMs = 0): Observation {
  const measured = measure(each, requests).map((ms) => ms + overheadMs);
  const buckets: Bucket[] = bounds.map((upTo) => ({
    upTo,
    count: measured.filter((ms) => ms <= upTo).length,
  }));
  const { arrivalsPerSecond } = demandOf(each);
  return { arrivalsPerSecond, buckets, sumMs: meanOf(measured) * measured.length };
}

describe("a fit", () => {
  test("finds the service time within 3 % and the shape, from Istio's buckets", () => {
    for (const service of ["constant", "erlang", "exponential"] as const)
      for (const balancing of ["random", "least-request"] as const) {
        const each = { balancing, count: 2, rho: 0.5, service };
        const fit = fitService(observe(each, 20_000), { replicas: 2, balancing });
        assert.ok(fit.kind === "fitted" && fit.scvFrom === "shape");
        assert.ok(
          Math.abs(fit.demand.serviceMs / 8 - 1) < 0.03,
          `${service}: ${fit.demand.serviceMs}`,
        );
        const { serviceScv } = services[service];
        assert.ok(
          Math.abs(fit.demand.serviceScv - serviceScv) <= 0.03,
          `${service}: ${fit.demand.serviceScv}`,
        );
      }
  });

  test("by the median finds the service time within 10 %, when the shape is known", () => {
    const each = { balancing: "random", count: 2, rho: 0.5, service: "exponential" } as const;
    const fit = fitService(
      observe(each, 20_000),
      { replicas: 2, balancing: "random", serviceScv: 1 },
      "median",
    );
    assert.ok(fit.kind === "fitted" && fit.scvFrom === "given");
    assert.ok(Math.abs(fit.demand.serviceMs / 8 - 1) < 0.1, `${fit.demand.serviceMs}`);
  });

  test("predicts another load from the one it saw", () => {
    const seen = { balancing: "random", count: 2, rho: 0.3, service: "exponential" } as const;
    const fit = fitService(observe(seen, 40_000), { replicas: 2, balancing: "random" });
    assert.ok(fit.kind === "fitted");
    const later = { ...seen, rho: 0.6 } as const;
    const outcome = replicas({
      ...fit.demand,
      arrivalsPerSecond: demandOf(later).arrivalsPerSecond,
    });
    assert.ok(outcome.kind === "steady");
    const p99 = quantileOf(measure(later, 50_000), 0.99);
    assert.ok(Math.abs(outcome.quantileMs(0.99) / p99 - 1) < 0.15);
  });

  test("tells overhead from service by two windows of different load", () => {
    const quiet = { balancing: "random", count: 2, rho: 0.2, service: "exponential" } as const;
    const windows = [
      observe(quiet, 60_000, 3),
      observe({ ...quiet, rho: 0.7 }, 200_000, 3),
    ] as const;
    const overheadMs = fitOverhead(windows, { replicas: 2, balancing: "random", serviceScv: 1 });
    assert.ok(Math.abs(overheadMs - 3) < 1, `${overheadMs}`);
  });

  test("says what is missing where there is nothing to fit", () => {
    const deployment = { replicas: 1, balancing: "random" } as const;
    const none = fitService({ arrivalsPerSecond: 0, buckets: [] }, deployment);
    assert.deepEqual(none, { kind: "not-fitted", why: "no requests were observed yet" });
    const few = fitService(
      { arrivalsPerSecond: 1, buckets: [{ upTo: Number.POSITIVE_INFINITY, count: 3 }] },
      deployment,
    );
    assert.ok(few.kind === "not-fitted" && few.why.includes("only 3 requests"));
    const flat = [
      { upTo: 1, count: 50 },
      { upTo: Number.POSITIVE_INFINITY, count: 50 },
    ];
    const drowned = fitService(
      { arrivalsPerSecond: 1, buckets: flat, sumMs: 50 },
      { ...deployment, overheadMs: 2 },
    );
    assert.ok(drowned.kind === "not-fitted" && drowned.why.includes("overhead of 2 ms"));
    const assumed = fitService({ arrivalsPerSecond: 1, buckets: flat, sumMs: 25 }, deployment);
    assert.ok(assumed.kind === "fitted" && assumed.scvFrom === "assumed");
  });

  test("beyond capacity stays below it: the service cannot take longer than its servers have time", () => {
    const buckets = [
      { upTo: 50, count: 0 },
      { upTo: 1000, count: 90 },
      { upTo: Number.POSITIVE_INFINITY, count: 100 },
    ];
    const fit = fitService(
      { arrivalsPerSecond: 100, buckets, sumMs: 1e6 },
      { replicas: 1, balancing: "random", serviceScv: 1 },
    );
    assert.ok(fit.kind === "fitted" && fit.response.utilisation < 1);
    assert.ok(fit.demand.serviceMs > 9.9 && fit.demand.serviceMs < 10);
  });
});
