/**
 * What policies are about: every pod with a network of its own, with all that a selector or a port name can ask of it.
 *
 * Left out are pods on the host's network, which NetworkPolicy leaves undefined and which look like their node from
 * outside, and pods that have ended, whose address may be another's by now. The nodes' DNS server is in, as a peer.
 */

import type { Pod } from "../../api/k8s/core.ts";
import type { Protocol } from "../../model/node-view.ts";
import type { Labels } from "../registry/selector.ts";
import {
  addressesOf,
  hasEnded,
  namespaceLabels,
  namespaceOf,
  nodeDnsPod,
} from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";

export interface PolicyEndpoint {
  /** `namespace/name` of the pod. */
  readonly pod: string;
  readonly namespace: string;
  /** At most one of each family. */
  readonly addresses: readonly string[];
  readonly labels: Labels;
  readonly namespaceLabels: Labels;
  /** Number of each named container port, by `TCP/http`. The first container that has the name counts. */
  readonly namedPorts: ReadonlyMap<string, number>;
}

/** Sorted by pod; the nodes' DNS server last. */
export function policyEndpoints(world: World): readonly PolicyEndpoint[] {
  const labelsByNamespace = new Map<string, Labels>();
  const endpointOf = (pod: Pod): PolicyEndpoint => {
    const namespace = namespaceOf(pod);
    const known = labelsByNamespace.get(namespace);
    const labels = known ?? namespaceLabels(world, namespace);
    if (known === undefined) labelsByNamespace.set(namespace, labels);
    return {
      pod: objectKey(pod),
      namespace,
      addresses: addressesOf(pod),
      labels: pod.metadata.labels ?? {},
      namespaceLabels: labels,
      namedPorts: namedPortsOf(pod),
    };
  };
  return [
    ...objectsOf<Pod>(world, "Pod").filter(
      (pod) => pod.spec.hostNetwork !== true && !hasEnded(pod),
    ),
    nodeDnsPod,
  ].map(endpointOf);
}

export function portKey(protocol: Protocol, name: string): string {
  return `${protocol}/${name}`;
}

function namedPortsOf(pod: Pod): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const container of pod.spec.containers) {
    for (const port of container.ports ?? []) {
      if (port.name === undefined) continue;
      const key = portKey(port.protocol ?? "TCP", port.name);
      if (!numbers.has(key)) numbers.set(key, port.containerPort);
    }
  }
  return numbers;
}
