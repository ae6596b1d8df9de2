/** The parts of one node's agent, as CNI calls, the reconcile loops and the status see them; made in main.ts. */

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { KernelDriver } from "../kernel/driver.ts";
import type { ObjectClient } from "../rpc/object-client.ts";
import type { Attachments } from "./attachments.ts";
import type { ContainerPods } from "./cni-server/container-pods.ts";
import type { DeadPods } from "./cni-server/dead-pods.ts";
import type { Dataplane } from "./dataplane.ts";
import type { Ipam } from "./ipam.ts";
import type { PodAddresses } from "./pod-addresses.ts";
import type { Sidecars } from "./sidecars/supervisor.ts";
import type { Turns } from "./turns.ts";
import type { Underlay } from "./underlay.ts";

export interface NodeParts {
  readonly node: string;
  readonly bootId: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly driver: KernelDriver;
  readonly objects: ObjectClient;
  readonly attachments: Attachments;
  readonly dataplane: Dataplane;
  readonly ipam: Ipam;
  readonly addresses: PodAddresses;
  readonly underlay: Underlay;
  readonly sidecars: Sidecars;
  readonly containerPods: ContainerPods;
  readonly deadPods: DeadPods;
  /** By attachment: who changes one waits for whoever else does. */
  readonly turns: Turns;
  /** Resolves when the node's address blocks are known. */
  readonly joined: Promise<void>;
}
