/** Closed forms, published tables and exact rational arithmetic: what the models must reproduce to the last digits. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Outcome, Steady } from "./demand.ts";
import { erlangB, erlangC } from "./erlang.ts";
import { ggc } from "./ggc.ts";
import { md1, mdc } from "./mdc.ts";
import { mg1, mg1ProcessorSharing } from "./mg1.ts";
import { mgc } from "./mgc.ts";
import { mm1, mmc } from "./mmc.ts";
import { replicas } from "./replicas.ts";

function steady(outcome: Outcome): Steady {
  assert.equal(outcome.kind, "steady");
  if (outcome.kind !== "steady") throw new Error("unreachable");
  return outcome;
}

/** A demand with service 10 ms at the given utilisation. */
function demand(rho: number, servers = 1) {
  return { arrivalsPerSecond: rho * servers * 100, serviceMs: 10, servers };
}

function near(actual: number, expected: number, relative: number, what = ""): void {
  const error = Math.abs(actual - expected) / Math.max(Math.abs(expected), 1e-300);
  assert.ok(error <= relative, `${what} got ${actual}, wanted ${expected} (off by ${error})`);
}

/** Erlang B and C of a = p/q erlangs as exact fractions, from their definition with factorials. */
function exactErlang(servers: number, p: bigint, q: bigint): { b: number; c: number } {
  // Terms aⁿ/n!, all over the common denominator q^servers · servers!.
  const terms: bigint[] = [];
  for (let n = 0; n <= servers; n++) {
    let term = p ** BigInt(n) * q ** BigInt(servers - n);
    for (let i = n + 1; i <= servers; i++) term *= BigInt(i);
    terms.push(term);
  }
  const last = terms.at(-1) ?? 0n;
  const sum = terms.reduce((total, term) => total + term, 0n);
  const c = BigInt(servers);
  // C = last·c/(c − a) / (sum − last + last·c/(c − a)), with c − a = (cq − p)/q.
  const waiting = last * c * q;
  return { b: ratio(last, sum), c: ratio(waiting, (sum - last) * (c * q - p) + waiting) };
}

function ratio(top: bigint, bottom: bigint): number {
  return Number((top * 10n ** 40n) / bottom) / 1e40;
}

describe("Erlang's formulas", () => {
  test("equal their definitions in exact rational arithmetic", () => {
    for (const servers of [1, 2, 3, 4, 7, 10, 25, 60, 150]) {
      for (const percent of [1n, 30n, 50n, 70n, 90n, 99n]) {
        const p = percent * BigInt(servers);
        const a = Number(p) / 100;
        const exact = exactErlang(servers, p, 100n);
        if (exact.b > 1e-20) near(erlangB(servers, a), exact.b, 1e-12, `B(${servers}, ${a})`);
        if (exact.c > 1e-20) near(erlangC(servers, a), exact.c, 1e-12, `C(${servers}, ${a})`);
      }
    }
  });

  test("agree with the traffic tables for a blocking of 1 %", () => {
    const table = [
      // servers, erlangs
      [1, 0.0101],
      [5, 1.361],
      [10, 4.461],
      [20, 12.03],
      [50, 37.9],
      [100, 84.06],
    ] as const;
    for (const [servers, erlangs] of table) near(erlangB(servers, erlangs), 0.01, 2e-3);
  });

  test("have the known small values", () => {
    near(erlangC(2, 1), 1 / 3, 1e-15);
    near(erlangC(3, 2), 4 / 9, 1e-15);
    near(erlangC(1, 0.7), 0.7, 1e-15);
    near(erlangB(2, 1), 0.2, 1e-15);
  });

  test("hold for a hundred thousand servers", () => {
    const blocked = erlangB(100_000, 99_900);
    assert.ok(blocked > 0 && blocked < 0.01);
    // Halfin and Whitt's limit at β = (c − a)/√a, c → ∞: here within a percent.
    const beta = 100 / Math.sqrt(99_900);
    near(erlangC(100_000, 99_900), 1 / (1 + (beta * normalCdf(beta)) / normalPdf(beta)), 1e-2);
  });
});

describe("M/M/c", () => {
  test("with one server has exponential responses", () => {
    for (const rho of [0, 0.1, 0.5, 0.9, 0.999]) {
      const one = steady(mm1({ arrivalsPerSecond: rho * 100, serviceMs: 10 }));
      near(one.meanResponseMs, 10 / (1 - rho), 1e-12);
      near(one.quantileMs(0.99), (Math.log(100) * 10) / (1 - rho), 1e-12);
      near(one.tail(25), Math.exp(-2.5 * (1 - rho)), 1e-12);
    }
  });

  test("has quantiles that its tail confirms, and a tail whose integral is the mean", () => {
    for (const [rho, servers] of [
      [0.3, 2],
      [0.5, 2], // both stages equally fast: the formula's removable singularity
      [0.75, 4], // likewise
      [0.9, 4],
      [0.97, 40],
    ] as const) {
      const queue = steady(mmc(demand(rho, servers)));
      for (const q of [0.01, 0.5, 0.9, 0.99, 0.9999])
        near(queue.tail(queue.quantileMs(q)), 1 - q, 1e-8);
      near(integralOf(queue.tail, 2000), queue.meanResponseMs, 1e-4);
    }
  });
});

describe("M/D/c", () => {
  test("with one server follows Erlang's series, where that can be summed", () => {
    for (const rho of [0.2, 0.5, 0.8]) {
      const queue = steady(md1(demand(rho)));
      near(queue.meanWaitMs, (10 * rho) / (2 * (1 - rho)), 1e-9);
      for (const x of [0, 0.3, 0.999, 1, 1.5, 2.7, 4.1])
        near(queue.tail(10 + 10 * x), 1 - erlangSeries(rho, x), 1e-9, `ρ ${rho}, W > ${x} D`);
    }
  });

  test("has Pollaczek's mean number waiting, Σ E[(Poisson(na) − nc)⁺]/n", () => {
    for (const [rho, servers] of [
      [0.3, 2],
      [0.5, 2],
      [0.7, 4],
      [0.9, 4],
      [0.8, 16],
    ] as const) {
      const queue = steady(mdc(demand(rho, servers)));
      const waiting = (queue.meanWaitMs * rho * servers) / 10;
      near(waiting, pollaczekWaiting(servers, rho * servers), 1e-8, `${servers} at ${rho}`);
    }
  });

  test("goes on into heavy traffic without a step", () => {
    for (const servers of [1, 2, 8]) {
      const exact = steady(mdc(demand(0.99, servers)));
      const beyond = steady(mdc(demand(0.990001, servers)));
      assert.deepEqual([exact.method, beyond.method], ["exact", "approximate"]);
      near(beyond.meanWaitMs, exact.meanWaitMs, 0.01);
      near(beyond.quantileMs(0.99), exact.quantileMs(0.99), 0.01);
    }
  });
});

describe("M/G/1", () => {
  test("has Pollaczek and Khinchine's mean for any spread", () => {
    for (const rho of [0, 0.3, 0.7, 0.95])
      for (const serviceScv of [0, 0.25, 1, 3]) {
        const queue = steady(mg1({ ...demand(rho), serviceScv }));
        near(queue.meanWaitMs, ((10 * rho) / (1 - rho)) * ((1 + serviceScv) / 2), 1e-9);
      }
  });

  test("inverts the transform to M/M/1 and M/D/1 at the ends, and to a tail whose integral is the mean", () => {
    for (const rho of [0.3, 0.7, 0.9]) {
      const exponential = steady(mm1(demand(rho)));
      const almost = steady(mg1({ ...demand(rho), serviceScv: 1 + 1e-12 }));
      for (const q of [0.1, 0.5, 0.99, 0.999])
        near(almost.quantileMs(q), exponential.quantileMs(q), 1e-5);
      const constant = steady(md1(demand(rho)));
      const nearly = steady(mg1({ ...demand(rho), serviceScv: 2e-4 }));
      near(nearly.quantileMs(0.99), constant.quantileMs(0.99), 2e-3);
      const erlang = steady(mg1({ ...demand(rho), serviceScv: 0.25 }));
      if (rho < 0.9) near(integralOf(erlang.tail, 600), erlang.meanResponseMs, 1e-4);
    }
  });

  test("under processor sharing slows every request in proportion to its size", () => {
    const shared = mg1ProcessorSharing(demand(0.75));
    assert.equal(shared.kind, "shared");
    if (shared.kind !== "shared") return;
    near(shared.meanResponseMs, 40, 1e-12);
    near(shared.meanResponseOf(3), 12, 1e-12);
    near(shared.meanInSystem, 3, 1e-12);
  });
});

describe("G/G/c and M/G/c", () => {
  test("become M/M/c at variabilities of one", () => {
    for (const servers of [1, 2, 8])
      for (const rho of [0.2, 0.8]) {
        const exact = steady(mmc(demand(rho, servers)));
        for (const scv of [1, 1 + 1e-9]) {
          const general = steady(ggc({ ...demand(rho, servers), arrivalScv: 1, serviceScv: scv }));
          near(general.meanWaitMs, exact.meanWaitMs, 1e-8);
          near(general.quantileMs(0.99), exact.quantileMs(0.99), 1e-5);
        }
        const poisson = steady(mgc({ ...demand(rho, servers), serviceScv: 1 }));
        near(poisson.quantileMs(0.99), exact.quantileMs(0.99), 1e-12);
      }
  });

  test("have Pollaczek and Khinchine's mean at one server and Poisson arrivals", () => {
    for (const serviceScv of [0, 0.3, 2]) {
      const exact = steady(mg1({ ...demand(0.6), serviceScv }));
      const general = steady(ggc({ ...demand(0.6), arrivalScv: 1, serviceScv }));
      near(general.meanWaitMs, exact.meanWaitMs, 1e-9);
      near(general.quantileMs(0.99), exact.quantileMs(0.99), 0.03);
    }
  });

  test("of Poisson arrivals are exact for constant service", () => {
    const exact = steady(mdc(demand(0.7, 4)));
    near(
      steady(mgc({ ...demand(0.7, 4), serviceScv: 0 })).quantileMs(0.99),
      exact.quantileMs(0.99),
      1e-12,
    );
  });
});

test("one client that takes turns with constant service has the responses of one central queue", () => {
  const inTurn = replicas({
    arrivalsPerSecond: 280,
    serviceMs: 10,
    serviceScv: 0,
    replicas: 4,
    balancing: "round-robin",
  });
  near(steady(inTurn).quantileMs(0.99), steady(mdc(demand(0.7, 4))).quantileMs(0.99), 1e-12);
});

/** P(W ≤ x) of M/D/1, x in service times. */
function erlangSeries(rho: number, x: number): number {
  let sum = 0;
  for (let k = 0; k <= Math.floor(x); k++) {
    let term = Math.exp(-rho * (k - x));
    for (let i = 1; i <= k; i++) term *= (rho * (k - x)) / i;
    sum += term;
  }
  return (1 - rho) * sum;
}

function pollaczekWaiting(servers: number, offered: number): number {
  let total = 0;
  for (let n = 1; n < 4000; n++) {
    const mean = n * offered;
    let excess = 0;
    let logShare = -mean;
    for (let k = 1; k < n * servers + 40 * Math.sqrt(mean) + 40; k++) {
      logShare += Math.log(mean / k);
      if (k > n * servers && logShare > -60) excess += (k - n * servers) * Math.exp(logShare);
      if (k > n * servers && logShare < -60) break;
    }
    total += excess / n;
    if (excess < 1e-13 && n > 3) break;
  }
  return total;
}

/** By Simpson's rule. */
function integralOf(f: (x: number) => number, to: number): number {
  const steps = 4000;
  const h = to / steps;
  let sum = f(0) + f(to);
  for (let i = 1; i < steps; i++) sum += f(i * h) * (i % 2 === 0 ? 2 : 4);
  return (sum * h) / 3;
}

function normalPdf(x: number): number {
  return Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
}

function normalCdf(x: number): number {
  return 0.5 + integralOf(normalPdf, x);
}
