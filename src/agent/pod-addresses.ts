/**
 * Says on each Pod object which address the pod has, and takes it back when the pod has it no longer.
 *
 * Level-triggered: wanted is what the attachments say, observed is what the view says, and each difference is one
 * patch of the status. Nobody waits for it: an ADD is complete without it, because until other nodes know the address
 * they deny what needs an identity. A patch that fails is made again with the next view or resync.
 */

import type { Clock } from "../base/clock.ts";
import { MeshError, renderError } from "../base/error.ts";
import { cidrContains } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import type { Attachment, NodeView } from "../model/node-view.ts";
import type { ObjectClient } from "../rpc/object-client.ts";

/** How long a patch may take to come back in a view before it is made again. */
const patienceMs = 5_000;

interface Said {
  /** Undefined: that the pod has none. */
  readonly address: string | undefined;
  readonly at: number;
}

export class PodAddresses {
  readonly #objects: ObjectClient;
  readonly #hostAddress: string;
  readonly #clock: Clock;
  readonly #log: Log;
  /** By pod uid: what was said last. */
  readonly #said = new Map<string, Said>();

  constructor(objects: ObjectClient, hostAddress: string, clock: Clock, log: Log) {
    this.#objects = objects;
    this.#hostAddress = hostAddress;
    this.#clock = clock;
    this.#log = log;
  }

  /** The pod has this address from now on. */
  publish(pod: Pick<Attachment, "namespace" | "name" | "uid" | "address">): void {
    this.#say(pod, pod.address);
  }

  /** The pod has it no longer. Only said of the pod itself: a new one of the same name may be on another node. */
  withdraw(pod: Pick<Attachment, "namespace" | "name" | "uid">, view: NodeView | undefined): void {
    const isThere = view?.workloads.some(
      (each) => each.uid === pod.uid && each.name === pod.name && each.namespace === pod.namespace,
    );
    if (isThere === true) this.#say(pod, undefined);
  }

  /** Patches every pod of this node whose object says something else than its attachment. */
  reconcile(view: NodeView, attachments: readonly Attachment[]): void {
    const wanted = new Map<string, string>();
    for (const each of attachments) {
      if (!wanted.has(each.uid)) wanted.set(each.uid, each.address);
    }
    const known = new Set<string>();
    for (const workload of view.workloads) {
      if (workload.node !== view.node) continue;
      known.add(workload.uid);
      const address = wanted.get(workload.uid);
      if (workload.address === address) continue;
      // Pods with host networking have the node's address, which is not ours to take away.
      const ours =
        workload.address === undefined || cidrContains(view.settings.podCidr, workload.address);
      if (ours && this.#isDue(workload.uid, address)) this.#say(workload, address);
    }
    for (const uid of this.#said.keys()) {
      if (!known.has(uid) && !wanted.has(uid)) this.#said.delete(uid);
    }
  }

  #isDue(uid: string, address: string | undefined): boolean {
    const said = this.#said.get(uid);
    return (
      said === undefined || said.address !== address || said.at + patienceMs < this.#clock.now()
    );
  }

  #say(
    pod: { readonly namespace: string; readonly name: string; readonly uid: string },
    address: string | undefined,
  ): void {
    this.#said.set(pod.uid, { address, at: this.#clock.now() });
    const status =
      address === undefined
        ? { podIP: null, podIPs: null }
        : { podIP: address, podIPs: [{ ip: address }], hostIP: this.#hostAddress };
    this.#objects.patchStatus("Pod", pod.namespace, pod.name, status).catch((error: unknown) => {
      this.#said.delete(pod.uid);
      if (error instanceof MeshError && error.code === "api.absent") return;
      this.#log.warn("pod's address is not on its object yet", {
        pod: `${pod.namespace}/${pod.name}`,
        error: renderError(error),
      });
    });
  }
}
