/**
 * Where each pod's addresses come from, for the nodes: pools by name, resolved from selectors and annotations.
 *
 * The pod's own annotation counts before selectors. Most pods of most installations use the pool `default` and nothing
 * is said of them.
 */

import type { AddressPool } from "../../api/heddle/v1.ts";
import type { Node, Pod } from "../../api/k8s/core.ts";
import { familyOf } from "../../base/ip.ts";
import type { AddressingView } from "../../model/node-view.ts";
import { networkOf } from "../registry/settings.ts";
import { namespaceLabels, namespaceOf } from "../registry/workloads.ts";
import { objectNamed, objectsOf, type World } from "../registry/world.ts";
import { defaultPoolName, poolsFor } from "./pools.ts";
import { wishesOf } from "./wishes.ts";

/** The answer for each pod of this world; undefined: pool `default`, any address. */
export function addressingOf(world: World): (pod: Pod) => AddressingView | undefined {
  const others = objectsOf<AddressPool>(world, "AddressPool");
  const defaultFamily = familyOf(networkOf(world).spec.podCidr);
  const known = new Map<string, readonly string[]>();
  const poolsOfPlace = (node: string, namespace: string): readonly string[] => {
    const key = `${node} ${namespace}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const nodeLabels = objectNamed<Node>(world, "Node", "", node)?.metadata.labels ?? {};
    const labels = namespaceLabels(world, namespace);
    const pools = poolsFor(others, defaultFamily, nodeLabels, labels);
    known.set(key, pools);
    return pools;
  };
  return (pod) => {
    const wishes = wishesOf(pod);
    const pools = wishes.pools ?? poolsOfPlace(pod.spec.nodeName ?? "", namespaceOf(pod));
    const isUsual = wishes.addresses.length === 0 && pools.join() === defaultPoolName;
    return isUsual ? undefined : { pools, addresses: wishes.addresses };
  };
}
