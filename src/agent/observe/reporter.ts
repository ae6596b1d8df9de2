/**
 * Tells the server each second what the node's sidecars have counted since the second before.
 *
 * A report that the server did not take is lost, and nothing but its second: the next one says its own. The first
 * reading after the agent's start, and one after a long pause, only says where to count from.
 */

import type { Agent } from "node:http";
import { renderError } from "../../base/error.ts";
import { Readings } from "../../core/traffic/increase.ts";
import { sumEdges, sumServing } from "../../core/traffic/sum.ts";
import type { DropLog } from "../../kernel/drop-log.ts";
import type { NodeReport } from "../../model/observation.ts";
import type { NodeParts } from "../node-parts.ts";
import { countDrops } from "./drops.ts";
import { readSidecar, sidecarConnections } from "./read-sidecar.ts";

/** Takes a report to the server; rejects where it was not taken. */
export type SendReport = (report: NodeReport, signal: AbortSignal) => Promise<unknown>;

export interface ReporterDeps {
  readonly send: SendReport;
  /** Packets that the node refused. */
  readonly dropLog: Pick<DropLog, "read">;
}

const everyMs = 1_000;
const longestSpanMs = 30_000;
const sendWithinMs = 2_000;

/** Runs until `signal` aborts. */
export async function reportTraffic(
  parts: NodeParts,
  { send, dropLog }: ReporterDeps,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = parts;
  const connections = sidecarConnections();
  const readings = new Readings(clock.now());
  let readAt: number | undefined;
  let isHeard = true;
  while (!signal.aborted) {
    const from = readAt;
    const { report, at } = await read(parts, readings, connections, dropLog);
    readAt = at;
    if (from !== undefined && at - from <= longestSpanMs) {
      const whole = { ...report, from, to: at };
      const within = AbortSignal.any([signal, AbortSignal.timeout(sendWithinMs)]);
      const error = await send(whole, within).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (isHeard && error !== undefined && !signal.aborted) {
        log.warn("traffic report is lost", { error: renderError(error) });
      }
      isHeard = error === undefined;
    }
    await clock.sleep(everyMs - (clock.now() % everyMs), signal).catch(() => undefined);
  }
  connections.destroy();
}

async function read(
  parts: NodeParts,
  readings: Readings,
  connections: Agent,
  dropLog: Pick<DropLog, "read">,
): Promise<{ readonly report: Omit<NodeReport, "from" | "to">; readonly at: number }> {
  const sockets = new Map<string, string>();
  for (const { attachment } of parts.attachments.all()) {
    const sidecar = parts.sidecars.get(attachment.containerId);
    if (sidecar?.state.kind !== "ready") continue;
    sockets.set(sidecar.adminSocket, `${attachment.namespace}/${attachment.name}`);
  }
  const answers = await Promise.all(
    [...sockets].map(async ([socket, pod]) => {
      // One that does not answer is starting or ending; what it counted comes with its next answer.
      const observation = await readSidecar(socket, connections).catch(() => undefined);
      return { socket, pod, observation };
    }),
  );
  const moved = answers.flatMap(({ socket, observation }) =>
    observation === undefined ? [] : readings.advance(socket, observation),
  );
  readings.retain(new Set(sockets.keys()));
  return {
    at: parts.clock.now(),
    report: {
      node: parts.node,
      edges: sumEdges(moved.flatMap(({ edges }) => edges)),
      serving: sumServing(moved.flatMap(({ serving }) => serving)),
      drops: countDrops(dropLog.read(), parts.dataplane.views.get()),
      sidecars: answers.flatMap((each) => (each.observation === undefined ? [] : each.pod)).sort(),
      taps: [],
    },
  };
}
