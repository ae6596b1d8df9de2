/** Who a sidecar is, from what the agent knows of its pod; in Istio's forms, so that metrics and tools find them. */

import { clusterDomain } from "../../model/names.ts";
import type { Attachment } from "../../model/node-view.ts";
import type { ProxyNode } from "../../model/proxy-config.ts";
import type { SidecarRecord } from "../state/record.ts";

export function proxyNodeOf(
  pod: Attachment,
  { serviceAccount, labels, gateway = false }: Omit<SidecarRecord, "process">,
): ProxyNode {
  const workload = workloadName(pod.name, labels);
  const [address = ""] = pod.addresses;
  return {
    id: `${gateway ? "router" : "sidecar"}~${address}~${pod.name}.${pod.namespace}~${pod.namespace}.svc.${clusterDomain}`,
    namespace: pod.namespace,
    pod: pod.name,
    address,
    workload: {
      namespace: pod.namespace,
      workload,
      app: labels["app"] ?? labels["app.kubernetes.io/name"] ?? "unknown",
      version: labels["version"] ?? labels["app.kubernetes.io/version"] ?? "unknown",
      serviceAccount,
    },
  };
}

/** A Deployment's pods are `<deployment>-<template hash>-<random>`; the hash is a label as well. */
function workloadName(pod: string, labels: Readonly<Record<string, string>>): string {
  const hash = labels["pod-template-hash"];
  const at = hash === undefined ? -1 : pod.lastIndexOf(`-${hash}-`);
  if (at > 0) return pod.slice(0, at);
  return /^(?<owner>.+)-[a-z0-9]{6,10}-[a-z0-9]{5}$/.exec(pod)?.groups?.["owner"] ?? pod;
}
