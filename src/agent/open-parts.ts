/** The parts of one agent, made from what is on disk; nothing is done with them yet. */

import { Attachments } from "./attachments.ts";
import { ContainerPods } from "./cni-server/container-pods.ts";
import { DeadPods, isDead } from "./cni-server/dead-pods.ts";
import { Dataplane } from "./dataplane.ts";
import type { AgentDeps } from "./deps.ts";
import { Ipam } from "./ipam.ts";
import type { NodeParts } from "./node-parts.ts";
import type { AgentOptions } from "./options.ts";
import { PodAddresses } from "./pod-addresses.ts";
import { Sidecars } from "./sidecars/supervisor.ts";
import { AttachmentStore } from "./state/attachment-store.ts";
import { Cooling } from "./state/cooling.ts";
import { readBootId } from "./state/host.ts";
import { Turns } from "./turns.ts";
import { Underlay } from "./underlay.ts";

/** `joined` resolves when the node's address blocks are known. */
export function openParts(
  options: AgentOptions,
  deps: AgentDeps,
  joined: Promise<void>,
): NodeParts {
  const { clock, log, driver, objects, mesh, random } = deps;
  const bootId = readBootId();
  const store = new AttachmentStore(options.stateDir, log);
  const records = store.load();
  const attachments = new Attachments(store, records, log);
  const pods = records.map((each) => each.attachment);
  const cooling = new Cooling(options.stateDir, bootId, clock);
  const addresses = pods.flatMap((each) => each.addresses);
  const isGone = (hostLink: string) =>
    attachments
      .all()
      .some((each) => each.attachment.hostLink === hostLink && isDead(each, { bootId, driver }));
  const underlay = new Underlay(options.addresses, () => driver.hostLinks());
  return {
    node: options.node,
    bootId,
    clock,
    log,
    driver,
    objects,
    attachments,
    joined,
    underlay,
    dataplane: new Dataplane({ driver, attachments: pods, isGone, clock, log }),
    ipam: new Ipam({
      node: options.node,
      objects,
      cooling,
      used: addresses,
      connected: (each) => driver.connected(each),
      log,
    }),
    containerPods: new ContainerPods(options.node, objects, options.runtimeRoots, log),
    deadPods: new DeadPods(),
    turns: new Turns(),
    addresses: new PodAddresses(objects, () => underlay.addresses, clock, log),
    sidecars: new Sidecars(
      {
        runDir: options.runDir,
        trustDomain: options.trustDomain,
        command: options.sidecarCommand,
        spares: options.spareSidecars,
        mode: options.sidecarMode,
        workers: options.sidecarWorkers,
        patienceMs: options.sidecarPatienceMs,
      },
      {
        mesh,
        clock,
        random,
        log,
        remember: (pod, sidecar) => attachments.note(pod, { sidecar }),
        isGone: (containerId) =>
          attachments
            .all()
            .every(
              (each) =>
                each.attachment.containerId !== containerId || isDead(each, { bootId, driver }),
            ),
      },
    ),
  };
}
