/**
 * What one node must know of the world.
 *
 * Nodes get all pods that have an address, because any of them may be a peer of a local one, but policies already
 * lowered to identities and Services already joined with their endpoints: a node resolves no selector. What is the same
 * for all nodes is made once per world.
 *
 * Pods on the host's network are not in the view: they have no interface of ours, and their address is the node's.
 */

import type { AddressBlock } from "../../api/heddle/v1.ts";
import {
  type Node,
  type Pod,
  type Service,
  sidecarModeAnnotation,
  sidecarModes,
} from "../../api/k8s/core.ts";
import { canonicalIp, compareIps, familyOf, type IpFamily, isIp } from "../../base/ip.ts";
import { aliasesAnnotation, type NodeName } from "../../model/names.ts";
import type { NodePeer, NodeView, WorkloadView } from "../../model/node-view.ts";
import { addressingOf } from "../ipam/addressing.ts";
import { holdings } from "../ipam/claims.ts";
import { compilePolicies } from "../policy/compile.ts";
import { vtepMac } from "../topology/hardware-address.ts";
import { underlayOf } from "../topology/underlay.ts";
import { captureOf } from "./capture.ts";
import { externalHosts } from "./external-hosts.ts";
import { zoneLabel } from "./localities.ts";
import { serviceView } from "./service-view.ts";
import { networkSettings } from "./settings.ts";
import {
  addressesOf,
  hasEnded,
  isGateway,
  isMeshed,
  namespaceOf,
  nodeDnsPod,
  serviceAccountOf,
} from "./workloads.ts";
import { compareText, objectKey, objectsOf, type World } from "./world.ts";

export function viewFor(world: World, node: NodeName): NodeView {
  const shared = sharedPart(world);
  const dns = workloadOf(nodeDnsPod, node, shared.identities);
  const workloads = shared.workloads.filter(
    (workload) => workload.addresses.length > 0 || workload.node === node,
  );
  return {
    node,
    settings: shared.settings,
    nodes: shared.nodes,
    workloads: [...workloads, dns].sort(byName),
    services: shared.services,
    ...(shared.externalHosts === undefined ? {} : { externalHosts: shared.externalHosts }),
    policies: shared.policies,
  };
}

interface SharedPart extends Omit<NodeView, "node"> {
  readonly identities: ReadonlyMap<string, number>;
}

const remembered = new WeakMap<World, SharedPart>();

function sharedPart(world: World): SharedPart {
  let shared = remembered.get(world);
  if (shared === undefined) {
    const { identities, policies } = compilePolicies(world);
    const hosts = externalHosts(world);
    shared = {
      settings: networkSettings(world),
      nodes: nodePeers(world),
      workloads: workloadsOf(world, identities),
      services: objectsOf<Service>(world, "Service").map((service) => serviceView(world, service)),
      ...(hosts.length === 0 ? {} : { externalHosts: hosts }),
      policies,
      identities,
    };
    remembered.set(world, shared);
  }
  return shared;
}

/** Nodes that have an address; one without cannot be reached and has no pods yet. */
function nodePeers(world: World): readonly NodePeer[] {
  const held = objectsOf<AddressBlock>(world, "AddressBlock").flatMap(holdings);
  return objectsOf<Node>(world, "Node").flatMap((node) => {
    const { name, creationTimestamp: created } = node.metadata;
    const addresses = nodeAddresses(node);
    const [address] = addresses;
    if (address === undefined) return [];
    const zone = node.metadata.labels?.[zoneLabel];
    return {
      name,
      address,
      addresses,
      ...underlayOf(node),
      ...(created === undefined ? {} : { created }),
      ...(zone === undefined ? {} : { zone }),
      vtepMac: vtepMac(name),
      blocks: held
        .filter((each) => each.node === name)
        .map(({ cidr }) => cidr)
        .sort((a, b) => compareIps(a.address, b.address) || a.prefixLength - b.prefixLength),
    };
  });
}

/** Its addresses on the underlay, at most one of each family, as the node lists them. */
function nodeAddresses(node: Node): readonly string[] {
  const found = new Map<IpFamily, string>();
  for (const { type, address } of node.status?.addresses ?? []) {
    if (type !== "InternalIP" || !isIp(address) || found.has(familyOf(address))) continue;
    found.set(familyOf(address), canonicalIp(address));
  }
  return [...found.values()];
}

function workloadsOf(
  world: World,
  identities: ReadonlyMap<string, number>,
): readonly WorkloadView[] {
  const pods = objectsOf<Pod>(world, "Pod").filter(
    (pod) => pod.spec.hostNetwork !== true && !hasEnded(pod) && pod.spec.nodeName !== undefined,
  );
  const holders = addressHolders(pods);
  const addressing = addressingOf(world);
  return pods.map((pod) => {
    const wanted = addressing(pod);
    const workload = {
      ...workloadOf(pod, pod.spec.nodeName ?? "", identities),
      ...(wanted === undefined ? {} : { addressing: wanted }),
    };
    const own = workload.addresses.filter((address) => holders.get(address) === pod);
    return own.length === workload.addresses.length ? workload : { ...workload, addresses: own };
  });
}

/**
 * An address belongs to one pod. Where a pod on its way out still shows the address of a newer one, the newer has it.
 */
function addressHolders(pods: readonly Pod[]): ReadonlyMap<string, Pod> {
  const holders = new Map<string, Pod>();
  for (const pod of pods) {
    for (const address of addressesOf(pod)) {
      const other = holders.get(address);
      if (other === undefined || precedence(pod) > precedence(other)) holders.set(address, pod);
    }
  }
  return holders;
}

function precedence(pod: Pod): string {
  const alive = pod.metadata.deletionTimestamp === undefined ? 1 : 0;
  return `${alive} ${pod.metadata.creationTimestamp ?? ""}`;
}

function workloadOf(
  pod: Pod,
  node: NodeName,
  identities: ReadonlyMap<string, number>,
): WorkloadView {
  const { hostname, subdomain } = pod.spec;
  const capture = captureOf(pod);
  return {
    namespace: namespaceOf(pod),
    name: pod.metadata.name,
    uid: pod.metadata.uid ?? "",
    node,
    addresses: addressesOf(pod),
    identity: identities.get(objectKey(pod)) ?? 0,
    serviceAccount: serviceAccountOf(pod),
    labels: pod.metadata.labels ?? {},
    meshed: isMeshed(pod),
    ...(isGateway(pod) ? { gateway: true } : {}),
    ...(capture === undefined ? {} : { capture }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(subdomain === undefined ? {} : { subdomain }),
    ...aliasesOf(pod),
    ...sidecarModeOf(pod),
  };
}

function sidecarModeOf({ metadata: { annotations } }: Pod): Pick<WorkloadView, "sidecarMode"> {
  const mode = sidecarModes.find((each) => each === annotations?.[sidecarModeAnnotation]);
  return mode === undefined ? {} : { sidecarMode: mode };
}

function aliasesOf({ metadata: { annotations } }: Pod): { readonly aliases?: readonly string[] } {
  const text = annotations?.[aliasesAnnotation];
  return text === undefined ? {} : { aliases: text.toLowerCase().split(",").filter(isDnsLabel) };
}

function isDnsLabel(text: string): boolean {
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text);
}

function byName(
  a: { readonly namespace: string; readonly name: string },
  b: { readonly namespace: string; readonly name: string },
): number {
  return compareText(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`);
}
