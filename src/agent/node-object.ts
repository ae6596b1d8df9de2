/** The Node object: what the rest of the cluster knows of this machine. The agent writes its status and nobody else. */

import type { Node } from "../api/k8s/core.ts";
import type { Clock } from "../base/clock.ts";
import { renderCidr } from "../base/ip.ts";
import { mtuAnnotation, underlayAnnotation, wireguardKeyAnnotation } from "../model/names.ts";
import type { ObjectClient } from "../rpc/object-client.ts";
import type { UnderlayPlace } from "./underlay.ts";

/**
 * Makes the node known, with its place on the underlay and, where it can decrypt, the key for that. Not ready yet:
 * nothing can be scheduled to it.
 */
export async function registerNode(
  objects: ObjectClient,
  node: string,
  { addresses, prefixes, mtu }: UnderlayPlace,
  wireguardKey: string | undefined,
): Promise<void> {
  const annotations = {
    ...(prefixes.length === 0 ? {} : { [underlayAnnotation]: prefixes.map(renderCidr).join() }),
    ...(mtu === undefined ? {} : { [mtuAnnotation]: `${mtu}` }),
    ...(wireguardKey === undefined ? {} : { [wireguardKeyAnnotation]: wireguardKey }),
  };
  const object: Node = { apiVersion: "v1", kind: "Node", metadata: { name: node, annotations } };
  await objects.apply(object);
  await objects.patchStatus<Node>("Node", "", node, {
    addresses: [
      ...addresses.map((address) => ({ type: "InternalIP" as const, address })),
      { type: "Hostname", address: node },
    ],
  });
}

/** Says that pods can be attached, or why they cannot. */
export async function reportReady(
  objects: ObjectClient,
  node: string,
  clock: Clock,
  problem?: string,
): Promise<void> {
  const lastTransitionTime = new Date(clock.now()).toISOString();
  const condition =
    problem === undefined
      ? { status: "True", reason: "AgentReady", message: "pods can be attached" }
      : { status: "False", reason: "AgentNotReady", message: problem };
  await objects.patchStatus<Node>("Node", "", node, {
    conditions: [{ type: "Ready", ...condition, lastTransitionTime }],
  });
}
