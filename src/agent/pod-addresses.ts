/**
 * Says on each Pod object which addresses the pod has, and takes them back when the pod has them no longer.
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
  /** Empty: that the pod has none. */
  readonly addresses: readonly string[];
  readonly at: number;
}

export class PodAddresses {
  readonly #objects: ObjectClient;
  readonly #hostAddresses: () => readonly string[];
  readonly #clock: Clock;
  readonly #log: Log;
  /** By pod uid: what was said last. */
  readonly #said = new Map<string, Said>();

  constructor(
    objects: ObjectClient,
    hostAddresses: () => readonly string[],
    clock: Clock,
    log: Log,
  ) {
    this.#objects = objects;
    this.#hostAddresses = hostAddresses;
    this.#clock = clock;
    this.#log = log;
  }

  /** The pod has these addresses from now on. */
  publish(pod: Pick<Attachment, "namespace" | "name" | "uid" | "addresses">): void {
    this.#say(pod, pod.addresses);
  }

  /** The pod has them no longer. Only said of the pod itself: a new one of the same name may be on another node. */
  withdraw(pod: Pick<Attachment, "namespace" | "name" | "uid">, view: NodeView | undefined): void {
    const isThere = view?.workloads.some(
      (each) => each.uid === pod.uid && each.name === pod.name && each.namespace === pod.namespace,
    );
    if (isThere === true) this.#say(pod, []);
  }

  /** Patches every pod of this node whose object says something else than its attachment. */
  reconcile(view: NodeView, attachments: readonly Attachment[]): void {
    const wanted = new Map<string, readonly string[]>();
    for (const each of attachments) {
      if (!wanted.has(each.uid)) wanted.set(each.uid, each.addresses);
    }
    const known = new Set<string>();
    for (const workload of view.workloads) {
      if (workload.node !== view.node) continue;
      known.add(workload.uid);
      const addresses = wanted.get(workload.uid) ?? [];
      if (same(workload.addresses, addresses)) continue;
      // The node's name server has the node's address, which is not ours to take away.
      const { pools } = view.settings;
      const isOurs = (address: string) => pools.some(({ cidr }) => cidrContains(cidr, address));
      if (!workload.addresses.every(isOurs)) continue;
      if (this.#isDue(workload.uid, addresses)) this.#say(workload, addresses);
    }
    for (const uid of this.#said.keys()) {
      if (!known.has(uid) && !wanted.has(uid)) this.#said.delete(uid);
    }
  }

  #isDue(uid: string, addresses: readonly string[]): boolean {
    const said = this.#said.get(uid);
    return (
      said === undefined ||
      !same(said.addresses, addresses) ||
      said.at + patienceMs < this.#clock.now()
    );
  }

  #say(
    pod: { readonly namespace: string; readonly name: string; readonly uid: string },
    addresses: readonly string[],
  ): void {
    this.#said.set(pod.uid, { addresses, at: this.#clock.now() });
    const [primary] = addresses;
    const status =
      primary === undefined
        ? { podIP: null, podIPs: null }
        : {
            podIP: primary,
            podIPs: addresses.map((ip) => ({ ip })),
            hostIP: this.#hostAddresses()[0] ?? "",
            hostIPs: this.#hostAddresses().map((ip) => ({ ip })),
          };
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

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.join() === b.join();
}
