/**
 * Forecasts of any Service, from the history that agents' reports make.
 *
 * The model is fitted to the last minute, the live point is the last quarter of it. Judged is each half minute of the
 * last ten, from the one before; that does not change any more, so it is computed once, when somebody first asks.
 * Deaths of endpoints are predicted when the first caller reports one, from the minute in which it happened, and the
 * reports of other callers add to what was measured.
 */

import type { Deployment } from "../../core/forecast/deployment.ts";
import { fitWindow } from "../../core/forecast/fit.ts";
import { forecast } from "../../core/forecast/forecast.ts";
import { deploymentOf } from "../../core/forecast/in-force.ts";
import { judge } from "../../core/forecast/judge.ts";
import type { Question } from "../../core/forecast/question.ts";
import { recoveryOf } from "../../core/forecast/recovery.ts";
import { type ServiceWindow, servedIn } from "../../core/forecast/window.ts";
import type { TrafficHistory } from "../../core/traffic/history.ts";
import type { Forecast, Judged } from "../../model/forecast.ts";
import type { EndpointLoss } from "../../model/observation.ts";
import type { WorldSource } from "../world-source.ts";
import { Recoveries } from "./recoveries.ts";
import { spansOf, windowFor } from "./windows.ts";

const fitSeconds = 60;
const liveSeconds = 15;
const judgedSeconds = 600;
/** Services of which judgements are kept; the one asked about longest ago goes first. */
const mostServices = 200;

interface Judgements {
  /** Number of the last span that was looked at. */
  readonly upTo: number;
  readonly judged: readonly Judged[];
}

export class Forecasts {
  readonly #world: WorldSource;
  readonly #history: TrafficHistory;
  readonly #now: () => number;
  readonly #judgements = new Map<string, Judgements>();
  readonly #recoveries = new Recoveries();

  constructor(world: WorldSource, history: TrafficHistory, now: () => number) {
    this.#world = world;
    this.#history = history;
    this.#now = now;
  }

  /** Undefined where there is no such Service. */
  of(namespace: string, name: string, question: Question): Forecast | undefined {
    const service = `${namespace}/${name}`;
    const at = this.#now();
    const window = windowFor(service, this.#history.window(fitSeconds, at));
    const latest = windowFor(service, this.#history.window(liveSeconds, at));
    const deployment = this.#deployment(namespace, name, window);
    if (deployment === undefined) return undefined;
    const input = {
      at,
      deployment,
      ...(window === undefined ? {} : { window }),
      ...(latest === undefined ? {} : { latest }),
      judged: this.#judged(deployment, at),
      recoveries: this.#recoveries.of(service),
    };
    return forecast(input, question);
  }

  /** Endpoints that a caller's sidecar gave up: each is held against what was to be expected. */
  take(losses: readonly EndpointLoss[]): void {
    for (const loss of losses) {
      const isKnown = this.#recoveries.add(loss);
      if (isKnown) continue;
      const [namespace = "", name = ""] = loss.service.split("/");
      const window = windowFor(loss.service, this.#history.window(fitSeconds, this.#now()));
      const now = this.#deployment(namespace, name, window);
      if (window === undefined || now === undefined) continue;
      // The control plane may have taken it away by now: it served in this window.
      const deployment = { ...now, replicas: Math.max(now.replicas, servedIn(window).pods) };
      const fit = fitWindow(window, deployment);
      if (fit.kind === "unknown") continue;
      const recovery = recoveryOf(deployment, fit.fitted);
      if (recovery.kind === "forecast") this.#recoveries.predicted(loss, recovery.forecast);
    }
  }

  #deployment(
    namespace: string,
    name: string,
    window: ServiceWindow | undefined,
  ): Deployment | undefined {
    const callers = new Set(window?.edges.map(({ source }) => source));
    return deploymentOf(this.#world.current(), namespace, name, callers);
  }

  #judged(deployment: Deployment, at: number): readonly Judged[] {
    const { service } = deployment;
    const known = this.#judgements.get(service);
    const spans = spansOf(at);
    if (known?.upTo === spans.last) return known.judged;
    const windows = spans.windows(service, this.#history.slots(judgedSeconds, at));
    const fresh = [...windows]
      .filter(([span]) => span > (known?.upTo ?? Number.NEGATIVE_INFINITY))
      .flatMap(([span, after]) => {
        const before = windows.get(span - 1);
        return (before && judge(before, after, deployment)) ?? [];
      });
    const judged = [...(known?.judged ?? []), ...fresh].filter(
      (one) => one.at > at - judgedSeconds * 1000,
    );
    this.#judgements.delete(service);
    this.#judgements.set(service, { upTo: spans.last, judged });
    const [oldest] = this.#judgements.keys();
    if (this.#judgements.size > mostServices && oldest !== undefined)
      this.#judgements.delete(oldest);
    return judged;
  }
}
