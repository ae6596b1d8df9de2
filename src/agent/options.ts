/** What an agent is told at its start. Read once; nothing looks at the command line or the environment later. */

import type { SidecarMode } from "../model/node-view.ts";
import type { RuntimeRoots } from "./runtimes/containers.ts";

export interface AgentOptions {
  readonly node: string;
  /** The node's addresses on the underlay, one for each family, the primary first. */
  readonly addresses: readonly string[];
  /** Sockets and what lives as long as the boot. */
  readonly runDir: string;
  /** What must survive the agent. */
  readonly stateDir: string;
  readonly trustDomain: string;
  /** Starts one sidecar that waits for its assignment on descriptor 3. */
  readonly sidecarCommand: readonly string[];
  /** Sidecars that are kept ready for the next pod. */
  readonly spareSidecars: number;
  /** Where the sidecars of pods run that do not say. */
  readonly sidecarMode: SidecarMode;
  /** Processes that pods share in mode `shared`. */
  readonly sidecarWorkers: number;
  /** How long a sidecar's process may leave a question unanswered before it counts as hanging, and is replaced. */
  readonly sidecarPatienceMs: number;
  /** The public key of the node's WireGuard device, base64. */
  readonly wireguardKey?: string;
  /** Version of this Heddle: what another one left is replaced where it matters. */
  readonly release: string;
  /** Starts the node's name server (dns/main.ts), but for what `dns/keeper.ts` adds. */
  readonly nameServerCommand: readonly string[];
  /** Where container runtimes keep what containers are called and labelled. */
  readonly runtimeRoots: RuntimeRoots;
}
