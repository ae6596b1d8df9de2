/**
 * How a node joins its cluster, and stays known where it is: what needs the server, and is insisted on until it
 * answers.
 *
 * Beside it the agent does what needs no server (main.ts).
 */

import { backoffMs } from "../base/backoff.ts";
import { renderError } from "../base/error.ts";
import type { AgentDeps } from "./deps.ts";
import { registerNode, reportReady } from "./node-object.ts";
import type { NodeParts } from "./node-parts.ts";
import type { AgentOptions } from "./options.ts";
import { renderPlace, type UnderlayPlace } from "./underlay.ts";

const joinRetry = { baseMs: 100, maxMs: 2_000 };
const placeLookMs = 2_000;

/** The Node object, the blocks, and, when the first view is in the kernel, readiness. */
export async function joinCluster(
  options: AgentOptions,
  deps: AgentDeps,
  parts: NodeParts,
  signal: AbortSignal,
): Promise<void> {
  const { objects } = deps;
  const wireguardKey =
    deps.driver.features.wireguard === "available" ? options.wireguardKey : undefined;
  const insist = (what: string, call: () => Promise<void>) => untilDone(what, call, deps, signal);
  const insistOnPlace = (place: UnderlayPlace) =>
    insist("register node", () => registerNode(objects, options.node, place, wireguardKey));
  const place = parts.underlay.look();
  await insistOnPlace(place);
  void watchPlace(place, insistOnPlace, parts, signal);
  await insist("confirm address blocks", () => parts.ipam.confirm());
  void insist("delete pods of gone containers", () =>
    parts.containerPods.sweep(() => attachedContainers(parts)),
  ).catch(() => undefined);
  void parts.dataplane.inForce
    .wait((state) => state, signal)
    .then(() => insist("report ready", () => reportReady(objects, options.node, deps.clock)))
    .catch(() => undefined);
}

function attachedContainers({ attachments }: NodeParts): ReadonlySet<string> {
  return new Set(attachments.all().map((each) => each.attachment.containerId));
}

/**
 * Tells the others when the node's addresses, prefixes or MTU change; checked often, because nothing works till then.
 */
async function watchPlace(
  known: UnderlayPlace,
  tell: (place: UnderlayPlace) => Promise<void>,
  parts: NodeParts,
  signal: AbortSignal,
): Promise<void> {
  let told = renderPlace(known);
  while (!signal.aborted) {
    await parts.clock.sleep(placeLookMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    const place = parts.underlay.look();
    if (renderPlace(place) === told) continue;
    parts.log.info("node's place on the underlay changed", { from: told, to: renderPlace(place) });
    await tell(place).catch(() => undefined);
    told = renderPlace(place);
  }
}

async function untilDone(
  what: string,
  call: () => Promise<void>,
  deps: AgentDeps,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      deps.log.warn(`${what}: will try again`, { error: renderError(error) });
      await deps.clock.sleep(backoffMs(attempt, joinRetry, deps.random), signal);
    }
  }
}
