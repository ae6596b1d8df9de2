/** Pods as explanations need them: by address, and as who their sidecar is. */

import type { Pod } from "../../api/k8s/core.ts";
import { clusterDomain } from "../../model/names.ts";
import type { Endpoint, ProxyNode } from "../../model/proxy-config.ts";
import { addressesOf, addressOf, namespaceOf, workloadLabelsOf } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import type { Candidate } from "./explanation.ts";

/** Of pods on the host's network, which share an address, none. */
export function podAt(world: World, address: string): Pod | undefined {
  return objectsOf<Pod>(world, "Pod").find(
    (pod) => pod.spec.hostNetwork !== true && addressesOf(pod).includes(address),
  );
}

export function candidateAt(
  world: World,
  { address, port, tls }: Pick<Endpoint, "address" | "port" | "tls">,
): Candidate {
  const pod = podAt(world, address);
  const node = pod?.spec.nodeName;
  return {
    address,
    port,
    ...(pod === undefined ? {} : { pod: objectKey(pod) }),
    ...(node === undefined ? {} : { node }),
    mtls: tls,
  };
}

export function sidecarOf(pod: Pod): ProxyNode {
  const namespace = namespaceOf(pod);
  const { name } = pod.metadata;
  const address = addressOf(pod) ?? "";
  return {
    id: `sidecar~${address}~${name}.${namespace}~${namespace}.svc.${clusterDomain}`,
    namespace,
    pod: name,
    address,
    workload: workloadLabelsOf(pod),
  };
}
