/**
 * A lab that is up: the hosts, the production processes on them, and the runtime that runs their pods.
 *
 * `startLab` builds in an order in which each step needs only what is there already: name and folders, hosts and wire,
 * server, agents, pod runtime. Every step's undo is one and the same: sweep the lab by its name (sweep.ts), which is
 * why a start that fails half-way, a Ctrl-C and a crash leave the same nothing behind.
 */

import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Node } from "../api/k8s/core.ts";
import { MeshError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { Scope } from "../base/scope.ts";
import { type Connection, connectSocket } from "../cli/connection.ts";
import { proxyUid } from "../model/names.ts";
import type { SidecarMode } from "../model/node-view.ts";
import { type ControlHandlers, type LabProcesses, lockLab, serveControl } from "./control.ts";
import { Daemon } from "./daemon.ts";
import {
  type DashboardPort,
  type DashboardRelay,
  dashboardUrl,
  relayDashboard,
} from "./dashboard-relay.ts";
import { logTail } from "./log-tail.ts";
import { hostName, hostPaths, type LabPaths } from "./names.ts";
import type { ImageRule } from "./pods/image-map.ts";
import { PodRuntime } from "./pods/runtime.ts";
import { isNodeReady } from "./status.ts";
import { noteNetnsFolder, sweepLab } from "./sweep.ts";
import { createUnderlay, type Underlay, underlayOf } from "./underlay.ts";

export interface LabSpec {
  readonly paths: LabPaths;
  readonly nodes: number;
  readonly images: readonly ImageRule[];
  /** Name servers for names outside of the lab, as agents take them; undefined: there are no such names. */
  readonly upstream: string | undefined;
  /** Undefined: no dashboard. */
  readonly dashboard: DashboardPort | undefined;
  readonly sidecarMode?: SidecarMode;
  /** How to run this CLI: the interpreter and the entry. */
  readonly heddle: readonly string[];
  /** The compiled CNI executable. */
  readonly cni: string;
  readonly log: Log;
  /** One line for each step that is done. */
  readonly report: (line: string) => void;
}

export interface Lab {
  readonly paths: LabPaths;
  readonly connection: Connection;
  readonly underlay: Underlay;
  /** Ends everything and sweeps. */
  close(): Promise<void>;
}

/** What of a lab is running, as it comes up. */
interface Parts {
  server?: Daemon;
  dashboard?: DashboardRelay;
  readonly agents: Daemon[];
}

const serverStartMs = 20_000;
const agentStartMs = 20_000;
const graceMs = 2_000;

/** Brings the lab's hosts and processes up; `down` is called when another terminal asks for the lab's end. */
export async function startLab(spec: LabSpec, down: () => void, signal: AbortSignal): Promise<Lab> {
  const { paths, log, report } = spec;
  const underlay = underlayOf(paths.name, spec.nodes);
  await using scope = new Scope();
  const lock = await lockLab(paths);
  scope.onFailure(() => void lock.close());

  const stale = await sweepLab(paths);
  if (stale.namespaces.length > 0) {
    report(
      `cleared what an earlier lab "${paths.name}" left: ${stale.namespaces.length} namespaces, ${stale.processes} processes`,
    );
  }
  makeFolders(paths, spec.nodes);
  scope.onFailure(() => sweepLab(paths, true).then(() => {}));

  const parts: Parts = { agents: [] };
  const processes = () => labProcesses(parts, underlay);
  const closeControl = await serveControl(paths, { down, processes } satisfies ControlHandlers);
  scope.onFailure(closeControl);

  await createUnderlay(paths.name, underlay);
  report(`${spec.nodes} hosts and the wire between them`);

  const server = startServer(spec, underlay);
  parts.server = server;
  scope.onFailure(() => server.stop(graceMs));
  const connection = connectSocket(paths.adminSocket, (text) => report(`warning: ${text}`));
  scope.onFailure(() => connection.close());
  await untilServing(connection, server, join(paths.logs, "server.log"), signal);
  report(`server at ${underlay.control.address}`);
  if (spec.dashboard !== undefined) {
    const relay = await relayDashboard(paths, spec.dashboard);
    parts.dashboard = relay;
    scope.onFailure(() => relay.close());
    report(`dashboard  ${dashboardUrl(paths, relay.port)}`);
  }

  await Promise.all(underlay.hosts.map((_, i) => writeBootstrap(connection, paths, i + 1)));
  parts.agents.push(...underlay.hosts.map((_, i) => startAgent(spec, underlay, i + 1)));
  scope.onFailure(async () => {
    await Promise.all(parts.agents.map((agent) => agent.stop(graceMs)));
  });
  // Pods are bound to hosts that are ready: with all of them there, they are spread from the first one on.
  await untilJoined(connection, paths, parts.agents, signal);
  report(`agents on ${underlay.hosts.map((_, i) => hostName(i + 1)).join(", ")}`);

  const ending = new AbortController();
  const runtime = podRuntime(spec, connection);
  const running = runtime.run(ending.signal);
  running.catch((error) => log.error("pod runtime ended", { error: String(error) }));

  scope.succeed();
  return {
    paths,
    connection,
    underlay,
    async close() {
      ending.abort();
      parts.dashboard?.close();
      await Promise.all([
        runtime.abandon(),
        ...[...parts.agents, server].map((daemon) => daemon.stop(graceMs)),
      ]);
      connection.close();
      await sweepLab(paths);
      closeControl();
      lock.close();
    },
  };
}

function makeFolders(paths: LabPaths, nodes: number): void {
  mkdirSync(paths.root, { recursive: true, mode: 0o755 });
  refusePrivate(paths.root);
  noteNetnsFolder(paths);
  rmSync(paths.logs, { recursive: true, force: true });
  for (const folder of [paths.root, paths.serverData, paths.logs, paths.pods]) {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  }
  for (let i = 1; i <= nodes; i++) {
    const host = hostPaths(paths, i);
    for (const folder of [host.run, host.state]) mkdirSync(folder, { recursive: true });
  }
}

/** Sidecars are not root, and their sockets are in the data folder: nothing above it may shut them out. */
function refusePrivate(folder: string): void {
  for (let path = folder; ; path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) {
      throw new MeshError(
        "lab.path.private",
        `data folder ${folder}: sidecars (user id ${proxyUid}) cannot pass through ${path}; allow it with chmod o+x, or set HEDDLE_LAB_DIR to another folder`,
        { fault: "user" },
      );
    }
    if (path === dirname(path)) return;
  }
}

function startServer(spec: LabSpec, underlay: Underlay): Daemon {
  const { paths } = spec;
  const listen = underlay.control.address;
  return new Daemon(
    {
      name: "server",
      netns: underlay.control.netns,
      argv: [...spec.heddle, "server", "--data", paths.serverData, "--listen", listen],
      env: process.env,
      logFile: join(paths.logs, "server.log"),
    },
    spec.log,
  );
}

function startAgent(spec: LabSpec, underlay: Underlay, index: number): Daemon {
  const host = underlay.hosts[index - 1];
  if (host === undefined) throw new MeshError("lab.host", `there is no host ${index}`);
  const folders = hostPaths(spec.paths, index);
  const flags = {
    "--bootstrap": folders.bootstrap,
    "--node": hostName(index),
    "--address": `${host.address},${host.address6}`,
    "--run-dir": folders.run,
    "--state-dir": folders.state,
    ...(spec.upstream === undefined ? {} : { "--upstream": spec.upstream }),
    ...(spec.sidecarMode === undefined ? {} : { "--sidecar-mode": spec.sidecarMode }),
  };
  return new Daemon(
    {
      name: `agent ${hostName(index)}`,
      netns: host.netns,
      // Most machines that labs run on have WireGuard; on the others it is a matter of speed alone.
      argv: [...spec.heddle, "agent", "--userspace-wireguard", ...Object.entries(flags).flat()],
      env: process.env,
      logFile: join(spec.paths.logs, `agent-${hostName(index)}.log`),
    },
    spec.log,
  );
}

async function writeBootstrap(
  connection: Connection,
  paths: LabPaths,
  index: number,
): Promise<void> {
  const answer = await connection.transport.send({
    method: "POST",
    path: "/heddle/v1/node-tokens",
    body: { node: hostName(index) },
  });
  if (answer.code >= 300) {
    throw new MeshError(
      "lab.node-token",
      `get a token for ${hostName(index)}: the server answered ${answer.code} ${JSON.stringify(answer.body)}`,
    );
  }
  writeFileSync(hostPaths(paths, index).bootstrap, JSON.stringify(answer.body), { mode: 0o600 });
}

function podRuntime(spec: LabSpec, connection: Connection): PodRuntime {
  const hosts = Array.from({ length: spec.nodes }, (_, i) => {
    const node = hostName(i + 1);
    const cni = { executable: spec.cni, socket: hostPaths(spec.paths, i + 1).cniSocket };
    const { name: lab, pods: records, logs } = spec.paths;
    return [node, { lab, node, cni, images: spec.images, records, logs, log: spec.log }] as const;
  });
  return new PodRuntime({
    client: connection.client,
    hosts: new Map(hosts),
    log: spec.log,
    removePod: async (namespace, name, uid) => {
      const answer = await connection.transport.send({
        method: "DELETE",
        path: `/api/v1/namespaces/${namespace}/pods/${name}`,
        body: { gracePeriodSeconds: 0, preconditions: { uid } },
      });
      // Gone, or another pod has the name by now: either way this one is no more.
      if (answer.code < 300 || answer.code === 404 || answer.code === 409) return;
      throw new MeshError("lab.pod.remove", `the server answered ${answer.code}`);
    },
  });
}

/** The server has no event for those who did not start it: its socket answers when it serves. */
async function untilServing(
  connection: Connection,
  server: Daemon,
  logFile: string,
  signal: AbortSignal,
): Promise<void> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(serverStartMs)]);
  for (;;) {
    try {
      await connection.client.list("Node");
      return;
    } catch (cause) {
      signal.throwIfAborted();
      if (until.aborted || server.restarts >= 3) {
        throw new MeshError("lab.server.start", `start the server: ${logTail(logFile)}`, { cause });
      }
      await delay(20, undefined, { signal: until }).catch(() => {});
    }
  }
}

/** Every host's Node object says that pods can be attached there. */
async function untilJoined(
  connection: Connection,
  paths: LabPaths,
  agents: readonly Daemon[],
  signal: AbortSignal,
): Promise<void> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(agentStartMs)]);
  const missing = new Set(agents.map((_, i) => hostName(i + 1)));
  const see = (node: Node) => {
    if (isNodeReady(node)) missing.delete(node.metadata.name);
  };
  for await (const event of connection.client.watch<Node>("Node", until)) {
    if (event.type === "synced") event.objects.forEach(see);
    else see(event.object);
    if (missing.size === 0) return;
  }
  signal.throwIfAborted();
  const logs = [...missing].map((node) => logTail(join(paths.logs, `agent-${node}.log`)));
  throw new MeshError(
    "lab.agent.start",
    `wait for the agents of ${[...missing].join(", ")} for ${agentStartMs / 1000} s: ${logs.join("; ")}`,
  );
}

function labProcesses(parts: Parts, underlay: Underlay): LabProcesses {
  const hostProcess = (daemon: Daemon | undefined, host: Underlay["control"]) => ({
    ...host,
    ...(daemon?.pid === undefined ? {} : { pid: daemon.pid }),
    restarts: daemon?.restarts ?? 0,
  });
  return {
    supervisor: process.pid,
    server: hostProcess(parts.server, underlay.control),
    ...(parts.dashboard === undefined ? {} : { dashboardPort: parts.dashboard.port }),
    nodes: underlay.hosts.map((host, i) => ({
      name: hostName(i + 1),
      ...hostProcess(parts.agents[i], host),
    })),
  };
}
