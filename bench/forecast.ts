/**
 * How right are forecasts? Lab services of which everything is known are put under a known load; a model is fitted to the
 * first half of each run, by what sidecars counted, and judged on the second.
 *
 *   npm run -s bench -- forecast --json [--replicas 1,2,4] [--service exponential,deterministic] [--runs 5]
 *
 * `ours` is the worst error of a median over runs (p50 counted at 15/25 of its size, as less is asked of p99), `floor` the
 * error of simply expecting the second half to be as the first, which no model at all can do better than at the same
 * load; there is no rival that predicts. The errors of each scenario are in `details`.
 */

import { parseArgs } from "node:util";
import { type Deviation, deviationsOf, medianOf } from "./forecast/deviation.ts";
import { type Scenario, withQueueingLab } from "./forecast/queueing-lab.ts";
import type { BenchResult } from "./result.ts";

const utilisations = [0.3, 0.5, 0.7];
/** More replicas are slower ones: all scenarios ask for the same 300 requests a second, which two cores carry. */
const serviceMsOfOne = 10;

interface ScenarioResult {
  readonly scenario: string;
  readonly runs: readonly Deviation[];
  readonly p50: number;
  readonly p99: number;
}

export async function run(): Promise<BenchResult> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    strict: false,
    options: {
      replicas: { type: "string", default: "1,2,4" },
      service: { type: "string", default: "exponential,deterministic" },
      runs: { type: "string", default: "5" },
      seconds: { type: "string", default: "120" },
    },
  });
  const results: ScenarioResult[] = [];
  for (const replicas of String(values.replicas).split(",").map(Number)) {
    const scenarios = String(values.service)
      .split(",")
      .flatMap((service) =>
        utilisations.map(
          (utilisation): Scenario => ({
            service,
            replicas,
            utilisation,
            serviceMs: serviceMsOfOne * replicas,
          }),
        ),
      );
    results.push(...(await measured(scenarios, Number(values.runs), Number(values.seconds))));
  }
  const worst = Math.max(...results.map(({ p50, p99 }) => Math.max((p50 * 25) / 15, p99)));
  const floors = results.flatMap(({ runs }) => medianOf(runs.map((one) => one.persistence.p99)));
  const floor = Math.max(...floors);
  return {
    bench: "forecast",
    unit: "share of the measured latency by which the predicted one is off (worst scenario, median over runs)",
    ours: round(worst),
    floor: round(floor),
    rivals: {},
    ratio: { floor: round(worst / floor) },
    growth: [],
    details: { scenarios: results },
  };
}

async function measured(
  scenarios: readonly Scenario[],
  runs: number,
  halfSeconds: number,
): Promise<ScenarioResult[]> {
  const all = scenarios.map((): Deviation[] => []);
  await withQueueingLab(scenarios, async (lab) => {
    for (let i = 0; i < runs; i++) {
      const observed = await lab.run(halfSeconds);
      for (const [s, one] of observed.entries()) {
        const deviation = deviationsOf(one);
        all[s]?.push(deviation);
        process.stderr.write(`${one.name}: ${JSON.stringify(deviation)}\n`);
      }
    }
  });
  return scenarios.map(({ service, replicas, utilisation }, s) => {
    const of = all[s] ?? [];
    return {
      scenario: `${replicas} × ${service}, ρ ${utilisation}`,
      p50: medianOf(of.map(({ p50 }) => p50)),
      p99: medianOf(of.map(({ p99 }) => p99)),
      runs: of,
    };
  });
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
