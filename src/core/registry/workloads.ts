/**
 * What Heddle derives from a Pod alone: its identity, whether it is in the mesh, what metrics call it.
 *
 * Defaults are applied here, where objects are read, not when they are stored: what users wrote stays what they see.
 */

import type { Namespace, Pod } from "../../api/k8s/core.ts";
import { canonicalIp, familyOf, type IpFamily, isIp } from "../../base/ip.ts";
import { nameServers } from "../../model/names.ts";
import type { WorkloadLabels } from "../../model/proxy-config.ts";
import type { Labels } from "./selector.ts";
import { objectNamed, type World } from "./world.ts";

/** Kubernetes puts this label on every namespace; policies select namespaces by name with it. */
export const namespaceNameLabel = "kubernetes.io/metadata.name";

/**
 * Each node's DNS server, as if it were a pod: policies that allow DNS to `kube-system` pods labelled
 * `k8s-app: kube-dns`, as nearly all published ones do, mean this one. It is part of the node, so no policy isolates
 * it.
 */
export const nodeDnsPod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name: "node-dns",
    namespace: "kube-system",
    uid: "node-dns",
    labels: { "k8s-app": "kube-dns" },
    annotations: { "sidecar.istio.io/inject": "false" },
  },
  spec: {
    containers: [
      {
        name: "dns",
        image: "heddle",
        ports: [
          { name: "dns", containerPort: 53, protocol: "UDP" },
          { name: "dns-tcp", containerPort: 53, protocol: "TCP" },
        ],
      },
    ],
  },
  status: {
    phase: "Running",
    podIP: nameServers.IPv4,
    podIPs: [{ ip: nameServers.IPv4 }, { ip: nameServers.IPv6 }],
  },
};

export function namespaceOf(object: {
  readonly metadata: { readonly namespace?: string };
}): string {
  return object.metadata.namespace ?? "default";
}

export function serviceAccountOf(pod: Pod): string {
  const name = pod.spec.serviceAccountName;
  return name === undefined || name === "" ? "default" : name;
}

/** Labels of a namespace, its name among them even where no Namespace object exists. */
export function namespaceLabels(world: World, namespace: string): Labels {
  const labels = objectNamed<Namespace>(world, "Namespace", "", namespace)?.metadata.labels;
  return { ...labels, [namespaceNameLabel]: namespace };
}

/** The pod's primary address; undefined before it has one and once its processes have ended for good. */
export function addressOf(pod: Pod): string | undefined {
  return addressesOf(pod)[0];
}

/** The pod's addresses, the primary first: at most one for each family. */
export function addressesOf(pod: Pod): readonly string[] {
  const { podIP, podIPs } = pod.status ?? {};
  if (podIP === undefined || hasEnded(pod)) return [];
  const found = new Map<IpFamily, string>();
  for (const ip of [podIP, ...(podIPs ?? []).map((each) => each.ip)]) {
    if (isIp(ip) && !found.has(familyOf(ip))) found.set(familyOf(ip), canonicalIp(ip));
  }
  return [...found.values()];
}

/** Its processes have ended and will not be started again: its address may belong to another pod by now. */
export function hasEnded(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}

/** The Ready condition, whatever else is going on with the pod. */
export function isReady(pod: Pod): boolean {
  return (pod.status?.conditions ?? []).some(
    (condition) => condition.type === "Ready" && condition.status === "True",
  );
}

/** Label or annotation: `false` for a pod that is to have no sidecar. */
export const injectKey = "sidecar.istio.io/inject";

/** Annotation or label: which proxies the pod is to have, `gateway` among them for one that is a gateway. */
export const templatesKey = "inject.istio.io/templates";

/** True for pods that get a sidecar: all that have a network of their own and did not ask to be left out. */
export function isMeshed(pod: Pod): boolean {
  const wish = pod.metadata.labels?.[injectKey] ?? pod.metadata.annotations?.[injectKey];
  return pod.spec.hostNetwork !== true && wish !== "false";
}

/**
 * True for pods whose proxy is a gateway: it serves the pod's ports itself, for clients outside, and captures nothing.
 * Istio's way to ask for one.
 */
export function isGateway(pod: Pod): boolean {
  const { annotations, labels } = pod.metadata;
  const templates = annotations?.[templatesKey] ?? labels?.[templatesKey] ?? "";
  return isMeshed(pod) && templates.split(",").some((name) => name.trim() === "gateway");
}

/** What Istio's metrics call the pod; `unknown` where its labels do not say, as Istio writes it. */
export function workloadLabelsOf(pod: Pod): WorkloadLabels {
  const label = (key: string): string | undefined => pod.metadata.labels?.[key];
  return {
    namespace: namespaceOf(pod),
    workload: workloadNameOf(pod),
    app: label("app") ?? label("app.kubernetes.io/name") ?? "unknown",
    version: label("version") ?? label("app.kubernetes.io/version") ?? "unknown",
    serviceAccount: serviceAccountOf(pod),
  };
}

/** The name of what made the pod: its Deployment, also behind a ReplicaSet; the pod's own where nothing did. */
function workloadNameOf(pod: Pod): string {
  const owners = pod.metadata.ownerReferences ?? [];
  const owner = owners.find((reference) => reference.controller === true) ?? owners[0];
  if (owner === undefined) return pod.metadata.name;
  const hash = pod.metadata.labels?.["pod-template-hash"];
  if (owner.kind === "ReplicaSet" && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    return owner.name.slice(0, -hash.length - 1);
  }
  return owner.name;
}
