/**
 * The agent of one node, from what is on disk to a node that attaches pods, until the signal aborts.
 *
 * A restarted agent adopts: attachments from disk, links and routes from the kernel, sidecars by their processes. What
 * needs the server (node object, blocks, views) goes on beside what does not (DEL, DNS of the last view, supervision),
 * so an agent without its server still serves the pods that it has. When it stops, pods, links, rules and sidecars
 * stay.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Scope } from "../base/scope.ts";
import type { CheckOptions } from "./check/network-checks.ts";
import { release } from "./cni-server/delete.ts";
import { answer } from "./cni-server/dispatch.ts";
import { inTurn } from "./cni-server/in-turn.ts";
import { listenForCni } from "./cni-server/listen.ts";
import type { AgentDeps, ViewSource } from "./deps.ts";
import { keepNameServer } from "./dns/keeper.ts";
import { HealthPorts } from "./health-ports.ts";
import { joinCluster } from "./join-cluster.ts";
import type { NodeParts } from "./node-parts.ts";
import { reportTraffic } from "./observe/reporter.ts";
import { openParts } from "./open-parts.ts";
import type { AgentOptions } from "./options.ts";
import { followViews, releaseDead, releaseOrWarn, resyncNowAndThen } from "./reconcile.ts";
import { agentStatus, serveStatus } from "./status.ts";

/** Runs until `signal` aborts, then leaves everything that pods use in place. */
export async function runAgent(
  options: AgentOptions,
  deps: AgentDeps,
  signal: AbortSignal,
): Promise<void> {
  await using scope = new Scope();
  const stopped = new AbortController();
  scope.onExit(() => stopped.abort());
  const life = AbortSignal.any([signal, stopped.signal]);
  const joining = Promise.withResolvers<void>();
  joining.promise.catch(() => undefined);

  // Listening comes first: it proves that no other agent serves this directory. Calls wait for what they need.
  mkdirSync(options.runDir, { recursive: true });
  const cniSocket = join(options.runDir, "cni.sock");
  const ready = Promise.withResolvers<NodeParts>();
  ready.promise.catch(() => undefined);
  const cni = await listenForCni(
    cniSocket,
    async (bytes) => answer(bytes, await ready.promise, life),
    deps.log,
  );
  scope.onExit(async () => cni[Symbol.asyncDispose]());

  const parts = openParts(options, deps, joining.promise);
  scope.onExit(() => parts.sidecars.leave());
  await takeOver(parts, life);
  ready.resolve(parts);

  let viewVersion: string | undefined;
  const views = observed(deps.views, (version) => {
    viewVersion = version;
  });
  const identity = { viewVersion: () => viewVersion };
  const statusSocket = join(options.runDir, "agent.sock");
  const status = await serveStatus(statusSocket, {
    status: () => agentStatus(parts, identity),
    release: (link) => releaseLink(link, parts, life),
    resync: () => parts.dataplane.resync(),
    upgradeSidecars: () => parts.sidecars.upgrade(life),
  });
  scope.onExit(async () => status[Symbol.asyncDispose]());

  const work = [
    joinCluster(options, deps, parts, life).then(joining.resolve, joining.reject),
    followViews(views, parts, deps.random, life),
    resyncNowAndThen(parts, life),
    parts.dataplane.freshPaths.follow((link) => parts.dataplane.accelerate(link), deps.clock, life),
    serveNames(options, deps, parts, life),
    answerHealthChecks(parts, life),
    reportTraffic(parts, deps.reporter, checkOptions(options, statusSocket), life),
  ];
  deps.log.info("agent started", { node: options.node, cniSocket });
  await Promise.race([aborted(life), Promise.all(work)]);
  stopped.abort();
  await Promise.allSettled(work);
  deps.log.info("agent stopped", { node: options.node });
}

/** What an earlier agent left: finished pods are adopted, dead ones and half an ADD are released. */
async function takeOver(parts: NodeParts, signal: AbortSignal): Promise<void> {
  for (const record of parts.attachments.all()) {
    if (record.phase === "added") continue;
    await releaseOrWarn(record, parts);
  }
  await releaseDead(parts, signal);
  // Side by side: a worker that hangs is waited for once, and not once for each of its pods.
  await Promise.all(
    parts.attachments
      .all()
      .map(({ attachment, sidecar }) => sidecar && parts.sidecars.adopt(attachment, sidecar)),
  );
}

/** In its turn, like a DEL that never came. */
async function releaseLink(link: string, parts: NodeParts, signal: AbortSignal): Promise<boolean> {
  const find = () => parts.attachments.all().find(({ attachment }) => attachment.hostLink === link);
  const found = find();
  if (found === undefined) return false;
  return inTurn(parts.turns, found.attachment, { interrupt: true, signal }, async () => {
    const record = find();
    if (record !== undefined) await release(record, parts);
    return record !== undefined;
  });
}

function checkOptions({ nameServerCommand }: AgentOptions, agentSocket: string): CheckOptions {
  const isServed = nameServerCommand.length > 0;
  return {
    agentSocket,
    names: { isServed, hasUpstream: nameServerCommand.includes("--upstream") },
  };
}

/** Load balancers ask each node whether it has endpoints of Services whose traffic stays on the node. */
async function answerHealthChecks(
  { dataplane: { views }, log }: NodeParts,
  signal: AbortSignal,
): Promise<void> {
  const health = new HealthPorts(log);
  try {
    for await (const view of views.changes(signal)) health.show(view);
  } finally {
    health.close();
  }
}

/** Without a command nobody answers names: tests that need none. */
async function serveNames(
  { runDir, release, nameServerCommand: command }: AgentOptions,
  { clock, random, log }: AgentDeps,
  { dataplane: { views } }: NodeParts,
  signal: AbortSignal,
): Promise<void> {
  if (command.length === 0) return aborted(signal);
  await keepNameServer({ command, release, runDir }, { views, clock, random, log }, signal);
}

/** The same views, with each accepted version told. */
function observed(views: ViewSource, accepted: (version: string) => void): ViewSource {
  return {
    async *snapshots(signal) {
      for await (const snapshot of views.snapshots(signal)) {
        yield {
          ...snapshot,
          accept: () => {
            accepted(snapshot.version);
            snapshot.accept();
          },
        };
      }
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
