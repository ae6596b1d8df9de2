/**
 * The life of one proxy process: wait as a spare, become a pod's sidecar or a worker for many, run until told to stop.
 *
 * Everything that takes time happens before the assignment (modules, TLS). After it the order is: enter the namespace,
 * open what must be opened with rights, give the rights up, subscribe; the answer goes back when the first complete
 * snapshot is in force, for then the agent lets the pod's packets in. From there on the process needs nobody: it
 * outlives the agent, and keeps its last configuration while the source is silent.
 */

import { renderError } from "../base/error.ts";
import type { LogThreshold } from "../base/log.ts";
import {
  type Assignment,
  type DedicatedAssignment,
  openAssignment,
  type ProxyBootstrap,
} from "./assignment.ts";
import type { ConfigSource } from "./config/source.ts";
import { createSidecar, type SidecarParts } from "./create-sidecar.ts";
import { servePod } from "./pod-service.ts";
import { warmUp } from "./warm-up.ts";
import { serveWorker, type Visitor } from "./worker/worker.ts";

export interface ProxyDependencies extends SidecarParts {
  readonly source: (bootstrap: ProxyBootstrap) => ConfigSource;
  /** Moves this process's main thread into a network namespace. */
  readonly enterNetns: (path: string) => void;
  readonly dropPrivileges: (uid: number, gid: number) => void;
  /** Lets every user of the namespace that was entered listen on ports below 1024. */
  readonly openLowPorts: () => void;
  /** Makes a descriptor of the process with this number one of ours. */
  readonly descriptorsOf: (pid: number) => (descriptor: number) => number;
  /** What a worker for many pods can do instead of entering a namespace for good. */
  readonly visitor: Visitor;
  /** Gives back memory that is held and not needed; done again now and then. */
  readonly giveBack: () => void;
  /** Of `log`; may be changed on the admin port. Absent: it does not change. */
  readonly logThreshold?: LogThreshold;
  /** The socket pair to the agent; see assignment.ts. */
  readonly assignmentFd: number;
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

/** Each time takes 0.5 to 4 ms (bench/README.md), and requests wait meanwhile: rare enough to be lost among them. */
const giveBackEveryMs = 30_000;

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
  setInterval(deps.giveBack, giveBackEveryMs).unref();
  try {
    const onReady = () => channel.answer({ ready: true });
    if (assignment.kind === "worker") await serveWorker(deps, assignment, onReady);
    else await serveDedicated(deps, assignment, onReady);
  } catch (error) {
    await channel.answer({ error: renderError(error) });
    throw error;
  }
}

/** In this process, for this pod alone, until a signal. */
async function serveDedicated(
  deps: ProxyDependencies,
  { bootstrap, uid, netns, predecessor }: DedicatedAssignment,
  onReady: () => Promise<void>,
): Promise<void> {
  const stopped = new AbortController();
  const retired = new AbortController();
  const drain = () => stopped.abort();
  deps.enterNetns(netns);
  await servePod(createSidecar(deps, bootstrap), {
    bootstrap,
    source: deps.source,
    ...(predecessor === undefined ? {} : { predecessor }),
    descriptorsOf: deps.descriptorsOf,
    log: deps.logThreshold ?? { least: "info" },
    onOpened() {
      if (isGateway(bootstrap.proxy)) deps.openLowPorts();
      deps.dropPrivileges(uid, uid);
      process.on("SIGTERM", drain);
      process.once("SIGINT", drain);
      process.once("SIGUSR2", () => retired.abort());
    },
    async onReady() {
      await onReady();
      deps.giveBack();
    },
    drain,
    stopped: stopped.signal,
    retired: retired.signal,
  });
}

/** A gateway serves ports of users' choice, long after its rights are given up. */
function isGateway({ id }: ProxyBootstrap["proxy"]): boolean {
  return id.startsWith("router~");
}
