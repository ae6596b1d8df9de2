/**
 * What runs in a gateway's container (`heddle proxy --gateway`): a watch over the pod's proxy, which is the agent's.
 *
 * A gateway's pod has no application. Its container ends when it is told to, and before that has the proxy take no more
 * connections and finish what is under way, so that whoever stops a gateway loses no request.
 */

import type { Clock } from "../base/clock.ts";
import { renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { ports } from "../model/names.ts";

const lookAgainMs = 200;
const hourMs = 3_600_000;

export interface GatewayContainerDeps {
  readonly clock: Clock;
  readonly log: Log;
}

/** Resolves when the container may end. */
export async function runGatewayContainer(
  { clock, log }: GatewayContainerDeps,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted && !(await isReady())) {
    await clock.sleep(lookAgainMs, signal).catch(() => undefined);
  }
  if (!signal.aborted) log.info("gateway ready");
  await aborted(clock, signal);
  const url = `http://127.0.0.1:${ports.admin}/drain_listeners`;
  try {
    // Answers when the last request has been.
    await fetch(url, { method: "POST" });
    log.info("gateway drained");
  } catch (error) {
    log.warn("gateway is not drained", { reason: renderError(error) });
  }
}

async function isReady(): Promise<boolean> {
  try {
    const url = `http://127.0.0.1:${ports.readiness}/healthz/ready`;
    const { ok, body } = await fetch(url);
    await body?.cancel();
    return ok;
  } catch {
    return false;
  }
}

/** Signals alone do not keep a process alive. */
async function aborted(clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await clock.sleep(hourMs, signal).catch(() => undefined);
}
