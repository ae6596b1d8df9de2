/**
 * Tells the server each second what the node's sidecars have counted since the second before.
 *
 * A report that the server did not take is lost, and nothing but its second: the next one says its own. The first
 * reading after the agent's start, and one after a long pause, only says where to count from. What the server wants to
 * know beside that (requests one by one, a check of the network) it orders with its answer, and it goes with the next.
 */

import type { Agent } from "node:http";
import { renderError } from "../../base/error.ts";
import { Readings } from "../../core/traffic/increase.ts";
import { sumEdges, sumServing } from "../../core/traffic/sum.ts";
import type { DropLog } from "../../kernel/drop-log.ts";
import type { NodeReport, ReportAnswer } from "../../model/observation.ts";
import { ConnectionLog } from "../check/connection-log.ts";
import { type CheckOptions, NetworkChecks } from "../check/network-checks.ts";
import type { NodeParts } from "../node-parts.ts";
import { countDrops } from "./drops.ts";
import { readSidecar, sidecarConnections } from "./read-sidecar.ts";
import { TapReader } from "./tap-reader.ts";

/** Takes a report to the server; rejects where it was not taken. */
export type SendReport = (report: NodeReport, signal: AbortSignal) => Promise<ReportAnswer>;

export interface ReporterDeps {
  readonly send: SendReport;
  /** Packets that the node refused. */
  readonly dropLog: Pick<DropLog, "read">;
}

const everyMs = 1_000;
/** While somebody watches requests one by one, or waits for a check of the network. */
const everyMsWatched = 200;
const longestSpanMs = 30_000;
const sendWithinMs = 2_000;

/** Runs until `signal` aborts. */
export async function reportTraffic(
  parts: NodeParts,
  { send, dropLog }: ReporterDeps,
  checkOptions: CheckOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = parts;
  const connections = sidecarConnections();
  const readings = new Readings(clock.now());
  const taps = new TapReader();
  const tracked = new ConnectionLog();
  const checks = new NetworkChecks(parts, checkOptions, tracked);
  let readAt: number | undefined;
  let isHeard = true;
  while (!signal.aborted) {
    const from = readAt;
    const sockets = adminSockets(parts);
    const counted = await read(sockets, readings, connections);
    const to = clock.now();
    readAt = to;
    tracked.sample(to);
    const drops = countDrops(dropLog.read(), parts.dataplane.views.get());
    if (from !== undefined && to - from <= longestSpanMs) {
      const watched = { taps: taps.take(), checks: checks.take() };
      const report = { node: parts.node, from, to, ...counted, drops, ...watched };
      const within = AbortSignal.any([signal, AbortSignal.timeout(sendWithinMs)]);
      try {
        const orders = await send(report, within);
        taps.follow(orders.taps, sockets);
        checks.follow(orders.checks);
        isHeard = true;
      } catch (error) {
        // Who ordered them may be gone.
        taps.close();
        checks.close();
        if (isHeard && !signal.aborted) {
          log.warn("traffic report is lost", { error: renderError(error) });
        }
        isHeard = false;
      }
    }
    const every = taps.isOn || checks.isOn ? everyMsWatched : everyMs;
    await clock.sleep(every - (clock.now() % every), signal).catch(() => undefined);
  }
  taps.close();
  checks.close();
  connections.destroy();
}

/** Of the sidecars that are ready, by path, with their pods. */
function adminSockets(parts: NodeParts): ReadonlyMap<string, string> {
  const sockets = new Map<string, string>();
  for (const { attachment } of parts.attachments.all()) {
    const sidecar = parts.sidecars.get(attachment.containerId);
    if (sidecar?.state.kind !== "ready") continue;
    sockets.set(sidecar.adminSocket, `${attachment.namespace}/${attachment.name}`);
  }
  return sockets;
}

async function read(
  sockets: ReadonlyMap<string, string>,
  readings: Readings,
  connections: Agent,
): Promise<Pick<NodeReport, "edges" | "serving" | "losses" | "sidecars">> {
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
    edges: sumEdges(moved.flatMap(({ edges }) => edges)),
    serving: sumServing(moved.flatMap(({ serving }) => serving)),
    sidecars: answers.flatMap((each) => (each.observation === undefined ? [] : each.pod)).sort(),
    losses: moved.flatMap(({ losses }) => losses),
  };
}
