/**
 * What the agent is made with: the ports to the world outside the process, and the pure compilers.
 *
 * Production passes the real ones (command.ts), tests pass fakes. Everything else the agent does itself.
 */

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { KernelDriver } from "../kernel/driver.ts";
import type { NodeView } from "../model/node-view.ts";
import type { ObjectClient } from "../rpc/object-client.ts";
import type { ReporterDeps } from "./observe/reporter.ts";
import type { MeshUpstream } from "./sidecars/upstream.ts";

export interface AgentDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly driver: KernelDriver;
  readonly objects: ObjectClient;
  readonly views: ViewSource;
  readonly mesh: MeshUpstream;
  readonly reporter: ReporterDeps;
}

/** Where the node's view comes from: complete pictures only, newest last; a slow reader sees only the newest. */
export interface ViewSource {
  snapshots(signal: AbortSignal): AsyncIterable<ViewSnapshot>;
}

export interface ViewSnapshot {
  /** The server's version of the picture. */
  readonly version: string;
  readonly view: NodeView;
  /** The kernel has it. */
  accept(): void;
  /** The kernel refuses it, and why; what was there before goes on. */
  reject(error: string): void;
}
