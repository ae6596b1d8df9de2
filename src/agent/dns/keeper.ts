/**
 * The agent's side of the node's name server: one runs, it is one that this agent would start, and it has the names of
 * the newest view.
 *
 * One that an earlier agent left is adopted; one that was started otherwise (another version, other upstreams) is
 * replaced: the new one has all names, and the sockets of the old one, before that is asked to retire.
 */

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { backoffMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { MeshError, present, renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import type { NamedView } from "../../core/dns/name-table.ts";
import { findProcess, isAlive, type ProcessId, signalProcess } from "../../kernel/process-id.ts";
import type { NodeView } from "../../model/node-view.ts";
import type { Latest } from "../latest.ts";
import { adoptProcess, type RunningProcess } from "../running-process.ts";
import { askNameServer, nameServerState } from "./control.ts";
import { namesUpdate } from "./names-update.ts";

export interface KeeperOptions {
  /** Starts `heddle names` with all that it must be told but the control socket and the tag. */
  readonly command: readonly string[];
  /** Version of this Heddle. */
  readonly release: string;
  readonly runDir: string;
}

export interface KeeperDeps {
  readonly views: Latest<NodeView>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const restart = { baseMs: 20, maxMs: 2_000 };
const lookAgainMs = 5;
const lookForNamesMs = 50;
const startedWithinMs = 20_000;

export function controlSocket(runDir: string): string {
  return join(runDir, "names.sock");
}

/** Keeps one until the signal aborts, and leaves it running then. */
export async function keepNameServer(
  options: KeeperOptions,
  deps: KeeperDeps,
  signal: AbortSignal,
): Promise<void> {
  const socket = controlSocket(options.runDir);
  const old = new Set<ProcessId>();
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const running = await adoptOrStart(options, deps, old, signal);
      const told = new AbortController();
      void running.ended.then(() => told.abort());
      await tellNames(socket, deps, AbortSignal.any([signal, told.signal]));
      if (signal.aborted) return;
      deps.log.warn("name server ended", { pid: running.process.pid });
      attempt = 0;
    } catch (error) {
      if (signal.aborted) return;
      deps.log.warn("no name server", { error: renderError(error) });
      const ms = backoffMs(attempt, restart, deps.random);
      await deps.clock.sleep(ms, signal).catch(() => undefined);
    }
  }
}

/** `old`: those that are to be replaced. A replacement that fails may have taken the way to them, but not their place. */
async function adoptOrStart(
  options: KeeperOptions,
  deps: KeeperDeps,
  old: Set<ProcessId>,
  signal: AbortSignal,
): Promise<RunningProcess> {
  const socket = controlSocket(options.runDir);
  const tag = `${options.release}: ${options.command.join(" ")}`;
  const before = await nameServerState(socket);
  const process = before === undefined ? undefined : findProcess(before.pid);
  if (before?.tag === tag && process !== undefined) {
    const adopted = adoptProcess(process, socket, deps.clock, signal);
    if (adopted !== undefined) {
      deps.log.info("name server adopted", { pid: process.pid });
      return adopted;
    }
  }
  if (process !== undefined) old.add(process);
  const predecessor = await untilReplaceable(old, deps, signal);
  const running = await start(options, tag, predecessor, deps, signal);
  if (predecessor !== undefined) await replace(old, running, socket, deps, signal);
  return running;
}

/**
 * One of the old ones, when there is a view; undefined when all have ended. A view comes from a server that may be away,
 * and until then the old one's names are the best there are: a new one without any would soon say "server failure" to
 * some of its askers.
 */
async function untilReplaceable(
  old: Set<ProcessId>,
  { views, clock }: KeeperDeps,
  signal: AbortSignal,
): Promise<ProcessId | undefined> {
  for (;;) {
    for (const one of old) if (!isAlive(one)) old.delete(one);
    const [first] = old;
    if (first === undefined || views.get() !== undefined) return first;
    await clock.sleep(lookForNamesMs, signal);
  }
}

async function start(
  { command, runDir }: KeeperOptions,
  tag: string,
  predecessor: ProcessId | undefined,
  deps: KeeperDeps,
  signal: AbortSignal,
): Promise<RunningProcess> {
  const socket = controlSocket(runDir);
  const after = predecessor === undefined ? [] : ["--predecessor", `${predecessor.pid}`];
  const [file, ...args] = [...command, "--control", socket, "--tag", tag, ...after];
  const output = openSync(join(runDir, "names.log"), "a", 0o600);
  const child = spawn(present(file, "the name server's command"), args, {
    detached: true,
    cwd: "/",
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  child.unref();
  const process = child.pid === undefined ? undefined : findProcess(child.pid);
  const deadline = deps.clock.now() + startedWithinMs;
  while (process !== undefined && deps.clock.now() < deadline && !signal.aborted) {
    if ((await nameServerState(socket))?.pid === process.pid) {
      deps.log.info("name server started", { pid: process.pid });
      return { process, ended };
    }
    const isOver = await Promise.race([
      ended.then(() => true),
      deps.clock.sleep(lookAgainMs, signal).then(() => false),
    ]);
    if (isOver) break;
  }
  if (process !== undefined) signalProcess(process, "SIGKILL");
  throw new MeshError("dns.start", `start ${command.join(" ")}; see ${join(runDir, "names.log")}`, {
    fault: "host",
    retryable: true,
  });
}

/** The old ones still answer, and are asked to end when the new one listens with the names of a view. */
async function replace(
  old: Set<ProcessId>,
  running: RunningProcess,
  socket: string,
  deps: KeeperDeps,
  signal: AbortSignal,
): Promise<void> {
  const { pid } = running.process;
  const view = await deps.views.wait((newest) => newest, signal);
  for (let isTold = false; ; ) {
    isTold ||= (await tell(socket, undefined, view, 0)) !== undefined;
    if (isTold && (await nameServerState(socket))?.isListening === true) break;
    signal.throwIfAborted();
    if (!isAlive(running.process)) {
      throw new MeshError("dns.start", `replace the name server: its replacement ${pid} ended`, {
        fault: "host",
        retryable: true,
      });
    }
    await deps.clock.sleep(lookAgainMs, signal).catch(() => undefined);
  }
  for (const one of old) {
    deps.log.info("name server replaced", { pid: one.pid, by: pid });
    // Its socket is gone with the rename, so it is told by a signal; it answers what it has and ends.
    signalProcess(one, "SIGTERM");
  }
  old.clear();
}

/** Tells the names of now and of each later view, until the signal aborts. */
async function tellNames(socket: string, deps: KeeperDeps, signal: AbortSignal): Promise<void> {
  let told: NamedView | undefined;
  let version = 0;
  const ended = new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true }),
  );
  for (let seen: NodeView | undefined; !signal.aborted; ) {
    const view = await Promise.race([
      deps.views
        .wait((newest) => (newest === seen ? undefined : newest), signal)
        .catch(() => undefined),
      ended,
    ]);
    if (view === undefined || signal.aborted) return;
    seen = view;
    const after = await tell(socket, told, view, version);
    // Said in full after an answer that never came, or that somebody else had told it other names.
    told = after === undefined ? undefined : view;
    version = after ?? version;
    if (after === undefined) {
      seen = undefined;
      await deps.clock.sleep(restart.baseMs, signal).catch(() => undefined);
    }
  }
}

/** The version that the name server has now; undefined where it did not take the update. */
async function tell(
  socket: string,
  before: NamedView | undefined,
  view: NodeView,
  version: number,
): Promise<number | undefined> {
  const update = namesUpdate(before, view, version);
  if (update === undefined) return version;
  const answer = await askNameServer(socket, "PUT", "/names", JSON.stringify(update));
  return answer?.status === 200 ? update.version : undefined;
}
