/**
 * The life of one proxy process: wait as a spare, become a pod's sidecar, run until told to stop.
 *
 * Everything that takes time happens before the assignment (modules, TLS). After it the order is: enter the namespace,
 * open what must be opened with rights, give the rights up, subscribe; the answer goes back when the first complete
 * snapshot is in force, for then the agent lets the pod's packets in. From there on the process needs nobody: it outlives
 * the agent, and keeps its last configuration while the source is silent.
 */

import { renameSync } from "node:fs";
import type { Server } from "node:http";
import type { Clock } from "../base/clock.ts";
import { renderError } from "../base/error.ts";
import { isIpv6 } from "../base/ip.ts";
import type { Log, LogThreshold } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { nameServers, ports } from "../model/names.ts";
import type { NameServerAddress } from "../rpc/dns-query.ts";
import { MetricRegistry } from "../telemetry/registry.ts";
import { type Assignment, openAssignment, type ProxyBootstrap } from "./assignment.ts";
import type { ConfigSource } from "./config/source.ts";
import { defaultProxyLimits, type Environment, type ProxyLimits } from "./environment.ts";
import type { OriginalDestination } from "./listen/runtime.ts";
import {
  type AdminActions,
  adminServer,
  listen,
  metricsServer,
  readinessServer,
} from "./observe/admin.ts";
import { Losses } from "./observe/losses.ts";
import { Overload } from "./overload.ts";
import { Sidecar } from "./sidecar.ts";
import { inherit, type Legacy, listeningDescriptor, noLegacy } from "./succession.ts";
import { TimerWheel } from "./timer-wheel.ts";
import { TokenBuckets } from "./token-buckets.ts";
import { lookUpAt } from "./upstream/names/look-up.ts";
import { Names } from "./upstream/names/names.ts";
import { warmUp } from "./warm-up.ts";

export interface ProxyDependencies {
  readonly source: (bootstrap: ProxyBootstrap) => ConfigSource;
  /** Moves this process's main thread into a network namespace. */
  readonly enterNetns: (path: string) => void;
  readonly dropPrivileges: (uid: number, gid: number) => void;
  /** Lets every user of the namespace that was entered listen on ports below 1024. */
  readonly openLowPorts: () => void;
  /** Makes a descriptor of the process with this number one of ours. */
  readonly descriptorsOf: (pid: number) => (descriptor: number) => number;
  readonly originalDestination: OriginalDestination;
  readonly isHungUp: Environment["isHungUp"];
  /** Gives back memory that only starting needed. */
  readonly giveBack: () => void;
  readonly log: Log;
  /** Of `log`; may be changed on the admin port. Absent: it does not change. */
  readonly logThreshold?: LogThreshold;
  readonly clock: Clock;
  readonly random: Random;
  /** The socket pair to the agent; see assignment.ts. */
  readonly assignmentFd: number;
  readonly limits?: Partial<ProxyLimits>;
  /** Asked for names of endpoints; absent: the node's. */
  readonly nameServer?: NameServerAddress;
  /** Where access log lines go; undefined: none are written. */
  readonly accessLog?: (line: string) => void;
}

/** Whose sidecar a spare is. */
const nobody: Pick<ProxyBootstrap, "proxy" | "trustDomain"> = {
  proxy: {
    id: "sidecar~spare",
    namespace: "",
    pod: "",
    address: "",
    workload: { namespace: "", workload: "", app: "", version: "", serviceAccount: "" },
  },
  trustDomain: "spare",
};

/** Resolves when the process may exit. */
export async function runProxy(deps: ProxyDependencies): Promise<void> {
  const channel = openAssignment(deps.assignmentFd);
  const assigned = channel.receive();
  assigned.catch(() => {}); // is awaited below
  await warmUp(createSidecar({ ...deps, originalDestination: () => undefined }, nobody));
  deps.giveBack(); // a spare may wait for long
  let assignment: Assignment | undefined;
  try {
    assignment = await assigned;
  } catch (error) {
    await channel.answer({ error: renderError(error) });
    throw error;
  }
  if (assignment === undefined) return;
  try {
    await serve(deps, assignment, () => channel.answer({ ready: true }));
  } catch (error) {
    await channel.answer({ error: renderError(error) });
    throw error;
  }
}

async function serve(
  deps: ProxyDependencies,
  assignment: Assignment,
  onReady: () => Promise<void>,
): Promise<void> {
  const { bootstrap, uid, netns, predecessor } = assignment;
  const sidecar = createSidecar(deps, bootstrap);
  const { log } = sidecar.runtime.environment;
  const stopped = new AbortController();
  const retired = new AbortController();
  const stop = () => stopped.abort();

  deps.enterNetns(netns);
  const legacy =
    predecessor === undefined
      ? noLegacy
      : await inherit(bootstrap.adminSocket, deps.descriptorsOf(predecessor));
  sidecar.inherit({ ...legacy, sockets: withoutDesks(legacy.sockets) });
  const desks = openDesks(sidecar, bootstrap, {
    drain: stop,
    log: deps.logThreshold ?? { least: "info" },
  });
  if (predecessor === undefined) await desks.open(noLegacy);
  if (isGateway(bootstrap.proxy)) deps.openLowPorts();
  deps.dropPrivileges(uid, uid);

  process.on("SIGTERM", stop);
  process.once("SIGINT", stop);
  process.once("SIGUSR2", () => retired.abort());
  const ended = AbortSignal.any([stopped.signal, retired.signal]);
  await new Promise<void>((resolve, reject) => {
    let isReady = false;
    const ready = async () => {
      if (isReady) return;
      isReady = true;
      if (predecessor !== undefined) await desks.open(legacy);
      log.info("sidecar ready", predecessor === undefined ? {} : { predecessor });
      await onReady();
      deps.giveBack();
    };
    void aborted(ended).then(resolve);
    const following = sidecar.follow(deps.source(bootstrap), ended, () => ready().catch(reject));
    following.catch((error: unknown) => {
      // The last configuration stays in force: once there was one, only a signal ends a sidecar.
      if (isReady) log.error("lose configuration source", { reason: renderError(error) });
      else reject(error);
    });
  });
  if (retired.signal.aborted) {
    log.info("sidecar retires");
    desks.leave();
    await sidecar.retire(stopped.signal);
  } else {
    log.info("drain sidecar");
    await sidecar.drain();
  }
  desks.close();
}

interface Desks {
  /** With the sockets of a predecessor, as far as there are any. */
  open(legacy: Legacy): Promise<void>;
  /** A successor answers from now on. */
  leave(): void;
  close(): void;
}

const deskAddresses: ReadonlyMap<string, readonly [host: string, port: number]> = new Map(
  [
    ["127.0.0.1", ports.admin] as const,
    ["0.0.0.0", ports.metrics] as const,
    ["0.0.0.0", ports.readiness] as const,
  ].map((address) => [address.join(":"), address]),
);

function withoutDesks(sockets: Legacy["sockets"]): Legacy["sockets"] {
  return new Map([...sockets].filter(([key]) => !deskAddresses.has(key)));
}

/** Where the sidecar answers questions about itself. */
function openDesks(
  sidecar: Sidecar,
  bootstrap: ProxyBootstrap,
  given: Omit<AdminActions, "legacy">,
): Desks {
  const servers = new Map<string, Server>();
  const legacy = (): Legacy => {
    const own = [...servers].flatMap(([key, server]) => {
      const descriptor = listeningDescriptor(server);
      return descriptor === undefined ? [] : [[key, descriptor] as const];
    });
    return { ...sidecar.legacy, sockets: new Map([...sidecar.legacy.sockets, ...own]) };
  };
  const actions: AdminActions = { ...given, legacy };
  const serverAt = (port: number): Server => {
    if (port === ports.admin) return adminServer(sidecar, actions);
    return port === ports.metrics ? metricsServer(sidecar) : readinessServer(sidecar);
  };
  const onPath = adminServer(sidecar, actions);
  const leave = () => {
    for (const server of servers.values()) server.close();
    servers.clear();
  };
  return {
    async open({ sockets }) {
      for (const [key, [host, port]] of deskAddresses) {
        const server = serverAt(port);
        const descriptor = sockets.get(key);
        await listen(server, descriptor === undefined ? { host, port } : { fd: descriptor });
        servers.set(key, server);
      }
      // Node removes the path that a server listened on when it closes: that must not be the one that a successor has.
      const path = `${bootstrap.adminSocket}.${process.pid}`;
      await listen(onPath, { path });
      renameSync(path, bootstrap.adminSocket);
    },
    leave,
    close() {
      leave();
      onPath.close();
      onPath.closeAllConnections();
    },
  };
}

/** A gateway serves ports of users' choice, long after its rights are given up. */
function isGateway({ id }: ProxyBootstrap["proxy"]): boolean {
  return id.startsWith("router~");
}

/** A sidecar for this bootstrap; nothing listens until its first snapshot. */
export function createSidecar(
  deps: Pick<
    ProxyDependencies,
    | "originalDestination"
    | "isHungUp"
    | "log"
    | "clock"
    | "random"
    | "limits"
    | "accessLog"
    | "nameServer"
  >,
  bootstrap: Pick<ProxyBootstrap, "proxy" | "trustDomain">,
): Sidecar {
  const now = () => performance.now();
  const wheel = new TimerWheel(now);
  const limits = { ...defaultProxyLimits, ...deps.limits };
  const log = deps.log.with({ pod: `${bootstrap.proxy.namespace}/${bootstrap.proxy.pod}` });
  const family = isIpv6(bootstrap.proxy.address) ? "IPv6" : "IPv4";
  const server = deps.nameServer ?? { address: nameServers[family], port: 53 };
  const environment: Environment = {
    now,
    epochMs: () => deps.clock.now(),
    random: deps.random,
    start: deps.random().toString(36).slice(2),
    startedAt: deps.clock.now(),
    log,
    wheel,
    metrics: new MetricRegistry(),
    losses: new Losses(),
    buckets: new TokenBuckets(now),
    overload: new Overload(limits, wheel, now),
    names: new Names({ lookUp: lookUpAt(server, family), random: deps.random, log }),
    isHungUp: deps.isHungUp,
    node: bootstrap.proxy,
    trustDomain: bootstrap.trustDomain,
    limits,
    isDraining: false,
  };
  return new Sidecar({
    environment,
    originalDestination: deps.originalDestination,
    ...(deps.accessLog === undefined ? {} : { accessLog: deps.accessLog }),
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
