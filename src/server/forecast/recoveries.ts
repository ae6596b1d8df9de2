/**
 * Deaths of endpoints: what each caller's sidecar saw of one, put together, beside what had been predicted.
 *
 * Callers notice the same death each for itself. What several of them report within half a minute of each other is one:
 * it began with the first failure that anybody saw and ended when the last of them had ejected the endpoint. One caller
 * that ejects it again, having tried it once more in vain, makes another.
 */

import type { RecoveryForecast, RecoveryJudged } from "../../model/forecast.ts";
import type { EndpointLoss } from "../../model/observation.ts";

const sameDeathMs = 30_000;
/** Kept in all, the newest. */
const mostKept = 500;
/** Told of one Service. */
const mostTold = 20;

interface Death {
  readonly service: string;
  readonly endpoint: string;
  readonly callers: Set<string>;
  failedAt: number;
  ejectedAt: number;
  lostRequests: number;
  predicted?: RecoveryForecast;
}

export class Recoveries {
  readonly #deaths: Death[] = [];

  /** True where it belongs to a death that is known. */
  add(loss: EndpointLoss): boolean {
    const known = this.#find(loss);
    if (known !== undefined && !known.callers.has(loss.source)) {
      known.callers.add(loss.source);
      known.failedAt = Math.min(known.failedAt, loss.failedAt);
      known.ejectedAt = Math.max(known.ejectedAt, loss.ejectedAt);
      known.lostRequests += loss.lostRequests;
      return true;
    }
    const { service, endpoint, source, failedAt, ejectedAt, lostRequests } = loss;
    const callers = new Set([source]);
    this.#deaths.push({ service, endpoint, callers, failedAt, ejectedAt, lostRequests });
    if (this.#deaths.length > mostKept) this.#deaths.shift();
    return false;
  }

  predicted(loss: EndpointLoss, predicted: RecoveryForecast): void {
    const death = this.#find(loss);
    if (death !== undefined) death.predicted = predicted;
  }

  /** Newest last; those without a prediction are not told: there is nothing to hold them against. */
  of(service: string): RecoveryJudged[] {
    return this.#deaths
      .flatMap(({ predicted, ...death }): RecoveryJudged[] => {
        if (death.service !== service || predicted === undefined) return [];
        const { endpoint, failedAt, ejectedAt, lostRequests } = death;
        const measured = { recoverMs: ejectedAt - failedAt, lostRequests };
        return [{ at: failedAt, endpoint, predicted, measured }];
      })
      .slice(-mostTold);
  }

  #find({ service, endpoint, failedAt }: EndpointLoss): Death | undefined {
    return this.#deaths.findLast(
      (death) =>
        death.service === service &&
        death.endpoint === endpoint &&
        Math.abs(death.failedAt - failedAt) < sameDeathMs,
    );
  }
}
