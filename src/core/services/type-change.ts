/**
 * What a Service loses when its type changes: what only the old type had, unless the writer set it anew.
 *
 * As in Kubernetes, so that `kubectl patch service web -p '{"spec":{"type":"ClusterIP"}}'` is enough: the patch carries
 * the node ports that the server gave, and they would be refused with the new type.
 */

import type { Service, ServicePort, ServiceSpec } from "../../api/k8s/core.ts";
import { sameJson } from "../../base/json.ts";

/** The next state without what it only inherits; the same object where the type stays. */
export function withoutOldType(next: Service, current: Service): Service {
  const type = next.spec.type ?? "ClusterIP";
  if (type === (current.spec.type ?? "ClusterIP")) return next;
  const lost = fields.filter(({ types }) => !types.includes(type)).map(({ field }) => field);
  const kept = Object.entries(next.spec).filter(
    ([field, value]) =>
      !lost.some((each) => each === field) ||
      !sameJson(value, Object.entries(current.spec).find(([name]) => name === field)?.[1]),
  );
  const spec = Object.fromEntries(kept) as typeof next.spec; // Fields of the same object, fewer.
  return { ...next, spec: nodePortTypes.includes(type) ? spec : withoutNodePorts(spec, current) };
}

type Type = NonNullable<ServiceSpec["type"]>;

const nodePortTypes: readonly Type[] = ["NodePort", "LoadBalancer"];
const addressTypes: readonly Type[] = ["ClusterIP", ...nodePortTypes];

const fields: readonly { readonly field: keyof ServiceSpec; readonly types: readonly Type[] }[] = [
  { field: "externalTrafficPolicy", types: nodePortTypes },
  { field: "healthCheckNodePort", types: ["LoadBalancer"] },
  { field: "allocateLoadBalancerNodePorts", types: ["LoadBalancer"] },
  { field: "loadBalancerClass", types: ["LoadBalancer"] },
  { field: "loadBalancerIP", types: ["LoadBalancer"] },
  { field: "loadBalancerSourceRanges", types: ["LoadBalancer"] },
  { field: "clusterIP", types: addressTypes },
  { field: "clusterIPs", types: addressTypes },
  { field: "ipFamilies", types: addressTypes },
  { field: "ipFamilyPolicy", types: addressTypes },
  { field: "internalTrafficPolicy", types: addressTypes },
  { field: "externalName", types: ["ExternalName"] },
];

function withoutNodePorts<S extends ServiceSpec>(spec: S, current: Service): S {
  const before = current.spec.ports ?? [];
  const isOld = (port: ServicePort) => before.some(({ nodePort }) => nodePort === port.nodePort);
  const ports = spec.ports?.map((port) => {
    const { nodePort: _, ...plain } = port;
    return isOld(port) ? plain : port;
  });
  return ports === undefined ? spec : { ...spec, ports };
}
