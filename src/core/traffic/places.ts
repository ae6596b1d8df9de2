/**
 * Which node of the graph a workload, pod or Service is.
 *
 * People think in Services: a workload whose pods stand behind one is that Service (`reviews-v1` to `-v3` are
 * `reviews`). Where there are several, the one of the workload's own name counts, else the first by name. Workloads
 * behind no Service are nodes of their own, and names that are neither are outside.
 */

import type { Pod, Service } from "../../api/k8s/core.ts";
import { matchesLabels } from "../registry/selector.ts";
import { endpointsOf, servicePortsOf } from "../registry/services.ts";
import {
  hasEnded,
  isMeshed,
  isReady,
  namespaceOf,
  workloadLabelsOf,
} from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";

export interface Place {
  readonly id: string;
  readonly kind: "workload" | "service" | "outside";
  readonly pods: readonly Pod[];
}

export class Places {
  readonly #byId = new Map<string, Place>();
  readonly #ofWorkload = new Map<string, string>();
  readonly #ofPod = new Map<string, string>();

  constructor(world: World) {
    const pods = objectsOf<Pod>(world, "Pod").filter((pod) => !hasEnded(pod));
    const byName = new Map(pods.map((pod) => [objectKey(pod), pod]));
    const workloads = Map.groupBy(pods, workloadOf);
    const services = new Map<string, string[]>();
    for (const service of objectsOf<Service>(world, "Service")) {
      const id = objectKey(service);
      const behind = podsBehind(world, service, pods, byName);
      this.#byId.set(id, { id, kind: "service", pods: behind });
      for (const workload of new Set(behind.map(workloadOf))) {
        const known = services.get(workload);
        if (known === undefined) services.set(workload, [id]);
        else known.push(id);
      }
    }
    for (const [workload, members] of workloads) {
      const behind = services.get(workload) ?? [];
      const id = behind.find((service) => service === workload) ?? behind[0] ?? workload;
      this.#ofWorkload.set(workload, id);
      for (const pod of members) this.#ofPod.set(objectKey(pod), id);
      if (!this.#byId.has(id)) this.#byId.set(id, { id, kind: "workload", pods: members });
    }
  }

  /** Every Service and every workload without one. */
  all(): readonly Place[] {
    return [...this.#byId.values()];
  }

  at(id: string): Place {
    return this.#byId.get(id) ?? { id, kind: "outside", pods: [] };
  }

  ofWorkload(workload: string): string {
    return this.#ofWorkload.get(workload) ?? workload;
  }

  /** Of a pod by its name; an address or anything else stands for itself. */
  ofPod(pod: string): string {
    return this.#ofPod.get(pod) ?? pod;
  }
}

/** The same for the same world, made once. */
export function placesOf(world: World): Places {
  let places = remembered.get(world);
  if (places === undefined) {
    places = new Places(world);
    remembered.set(world, places);
  }
  return places;
}

const remembered = new WeakMap<World, Places>();

export function readyPods(place: Place): number {
  return place.pods.filter((pod) => isReady(pod)).length;
}

export function hasSidecars(place: Place): boolean {
  return place.pods.some(isMeshed);
}

function workloadOf(pod: Pod): string {
  return `${namespaceOf(pod)}/${workloadLabelsOf(pod).workload}`;
}

/** What the selector selects, ready or not; without one, the pods among the endpoints that somebody wrote. */
function podsBehind(
  world: World,
  service: Service,
  pods: readonly Pod[],
  byName: ReadonlyMap<string, Pod>,
): readonly Pod[] {
  const { selector } = service.spec;
  if (selector !== undefined && Object.keys(selector).length > 0) {
    return pods.filter(
      (pod) =>
        namespaceOf(pod) === namespaceOf(service) && matchesLabels(pod.metadata.labels, selector),
    );
  }
  const names = servicePortsOf(service).flatMap((port) =>
    endpointsOf(world, service, port).flatMap(({ pod }) => pod ?? []),
  );
  return [...new Set(names)].flatMap((name) => byName.get(name) ?? []);
}
