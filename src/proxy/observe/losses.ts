/**
 * Endpoints that this sidecar gave up, with what that cost: how long they had failed in a row, how many requests were
 * lost.
 *
 * An entry is made a moment after the ejection, when what was under way at the endpoint has failed as well.
 */

import type { EndpointLoss } from "../../model/observation.ts";
import type { Environment } from "../environment.ts";
import { Timeout } from "../timer-wheel.ts";
import type { Host } from "../upstream/host.ts";

const settleMs = 500;
/** The newest are kept: the agent reads each second, and an endpoint is not ejected often. */
const mostKept = 32;

export class Losses {
  readonly #entries: EndpointLoss[] = [];

  /** The host was ejected at this moment, for failures in a row that began at `host.health.failingSince`. */
  ejected(host: Host, environment: Environment): void {
    const { config } = host.cluster;
    if (config.service === undefined) return;
    const { namespace, pod } = environment.node;
    const ejectedAt = environment.epochMs();
    const known = {
      source: `${namespace}/${pod}`,
      service: `${config.service.namespace}/${config.service.name}`,
      endpoint: `${host.address}:${host.port}`,
      failedAt: ejectedAt - (environment.now() - host.health.failingSince),
      ejectedAt,
    };
    const settle = new Timeout(() => {
      const { failedInRow: failedAttempts, lostRequests } = host.health;
      this.#entries.push({ ...known, failedAttempts, lostRequests });
      if (this.#entries.length > mostKept) this.#entries.shift();
    });
    environment.wheel.arm(settle, settleMs);
  }

  entries(): readonly EndpointLoss[] {
    return [...this.#entries];
  }
}
