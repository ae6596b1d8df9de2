/** Every node with its address blocks, its peers and its pods, and when its agent was last heard of. */

import type { AddressBlock } from "../../api/heddle/v1.ts";
import type { Node, Pod } from "../../api/k8s/core.ts";
import { cidrContains, cidrSize, isIp, parseCidr } from "../../base/ip.ts";
import type { NodesView } from "../../model/observation.ts";
import { networkSettings } from "../registry/settings.ts";
import { addressOf, hasEnded, isMeshed, isReady } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";

/** What reports say of a node. */
export interface HeardOf {
  reportedAt(node: string): number | undefined;
  /** Pods whose sidecars answered. */
  sidecars(node: string): readonly string[];
}

type NodeEntry = NodesView["nodes"][number];

export function nodesView(world: World, heard: HeardOf, at: number): NodesView {
  const nodes = objectsOf<Node>(world, "Node");
  const byNode = Map.groupBy(
    objectsOf<Pod>(world, "Pod").filter((pod) => pod.spec.nodeName !== undefined),
    (pod) => pod.spec.nodeName ?? "",
  );
  const { encap } = networkSettings(world);
  return {
    at,
    nodes: nodes.map((node): NodeEntry => {
      const { name } = node.metadata;
      const pods = byNode.get(name) ?? [];
      const reportedAt = heard.reportedAt(name);
      return {
        name,
        address: addressOfNode(node),
        isReady: (node.status?.conditions ?? []).some(
          ({ type, status }) => type === "Ready" && status === "True",
        ),
        ...(reportedAt === undefined ? {} : { reportedAt }),
        blocks: blocksOf(world, name),
        peers: nodes
          .filter((peer) => peer !== node)
          .map((peer) => ({
            node: peer.metadata.name,
            address: addressOfNode(peer),
            encap: encap.kind,
          })),
        pods: pods.map((pod) => podEntry(pod, new Set(heard.sidecars(name)))),
      };
    }),
  };
}

function podEntry(pod: Pod, sidecars: ReadonlySet<string>): NodeEntry["pods"][number] {
  const address = addressOf(pod);
  const name = objectKey(pod);
  return {
    pod: name,
    ...(address === undefined ? {} : { address }),
    phase: pod.status?.phase ?? "Pending",
    isReady: isReady(pod),
    sidecar: !isMeshed(pod) ? "none" : sidecars.has(name) ? "ready" : "unknown",
  };
}

/** `used` counts pods whose address is in the block. */
function blocksOf(world: World, node: string): NodeEntry["blocks"] {
  const addresses = objectsOf<Pod>(world, "Pod")
    .filter((pod) => pod.spec.hostNetwork !== true && !hasEnded(pod))
    .flatMap((pod) => pod.status?.podIP ?? [])
    .filter(isIp);
  return objectsOf<AddressBlock>(world, "AddressBlock")
    .filter((block) => block.spec.node === node)
    .map(({ spec }) => {
      const cidr = parseCidr(spec.cidr);
      const used = addresses.filter((address) => cidrContains(cidr, address)).length;
      return { cidr: spec.cidr, used, size: cidrSize(cidr) };
    });
}

function addressOfNode(node: Node): string {
  return node.status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "";
}
