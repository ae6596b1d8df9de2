/**
 * The values that the API gives to fields that a user left out, as Kubernetes does.
 *
 * Applied to every write, so that no reader needs to know a default. Pod templates stay as they were written: their
 * pods get the defaults when they are made, and a template's hash does not change with the version of Heddle.
 *
 * Not here: what depends on other objects (a Service's address: server/api).
 */

import type { Container, Deployment, Pod, Service } from "./k8s/core.ts";
import type { NetworkPolicy, NetworkPolicyPort } from "./k8s/network-policy.ts";
import type { Resource } from "./resource.ts";

/** The object with its defaults; the same object where there are none. It must be valid. */
export function withDefaults(object: Resource): Resource {
  switch (object.kind) {
    case "Namespace":
      return namespaceDefaults(object);
    case "Service":
      return serviceDefaults(object as Service);
    case "Deployment":
      return deploymentDefaults(object as Deployment);
    case "Pod":
      return podDefaults(object as Pod);
    case "NetworkPolicy":
      return policyDefaults(object as NetworkPolicy);
    default:
      return object;
  }
}

/** Policies select namespaces by this label; every namespace has it. */
export const namespaceNameLabel = "kubernetes.io/metadata.name";

function namespaceDefaults(namespace: Resource): Resource {
  const { metadata } = namespace;
  const labels = { ...metadata.labels, [namespaceNameLabel]: metadata.name };
  return { ...namespace, metadata: { ...metadata, labels } };
}

function serviceDefaults(service: Service): Service {
  const { type = "ClusterIP", ports } = service.spec;
  const { sessionAffinity = "None", sessionAffinityConfig } = service.spec;
  if (type === "ExternalName") {
    return { ...service, spec: { ...service.spec, type, sessionAffinity } };
  }
  const isReached = type !== "ClusterIP" || (service.spec.externalIPs ?? []).length > 0;
  return {
    ...service,
    spec: {
      internalTrafficPolicy: "Cluster",
      ...(isReached ? { externalTrafficPolicy: "Cluster" as const } : {}),
      ...(type === "LoadBalancer" ? { allocateLoadBalancerNodePorts: true } : {}),
      ...service.spec,
      type,
      sessionAffinity,
      ...(sessionAffinity === "ClientIP"
        ? {
            sessionAffinityConfig: {
              clientIP: { timeoutSeconds: 10_800, ...sessionAffinityConfig?.clientIP },
            },
          }
        : {}),
      ...(ports && {
        ports: ports.map((port) => ({ protocol: "TCP", targetPort: port.port, ...port })),
      }),
    },
  };
}

function deploymentDefaults(deployment: Deployment): Deployment {
  return { ...deployment, spec: { ...deployment.spec, replicas: deployment.spec.replicas ?? 1 } };
}

function podDefaults(pod: Pod): Pod {
  const { spec } = pod;
  return {
    ...pod,
    spec: {
      ...spec,
      restartPolicy: spec.restartPolicy ?? "Always",
      serviceAccountName: spec.serviceAccountName ?? "default",
      terminationGracePeriodSeconds: spec.terminationGracePeriodSeconds ?? 30,
      containers: spec.containers.map(containerDefaults),
    },
  };
}

function containerDefaults(container: Container): Container {
  const { ports } = container;
  if (ports === undefined) return container;
  return { ...container, ports: ports.map((port) => ({ protocol: "TCP", ...port })) };
}

function policyDefaults(policy: NetworkPolicy): NetworkPolicy {
  const { spec } = policy;
  const policyTypes =
    spec.policyTypes ?? (spec.egress ? (["Ingress", "Egress"] as const) : (["Ingress"] as const));
  return {
    ...policy,
    spec: {
      ...spec,
      policyTypes,
      ...(spec.ingress && { ingress: spec.ingress.map(portDefaults) }),
      ...(spec.egress && { egress: spec.egress.map(portDefaults) }),
    },
  };
}

function portDefaults<R extends { readonly ports?: readonly NetworkPolicyPort[] }>(rule: R): R {
  if (rule.ports === undefined) return rule;
  return { ...rule, ports: rule.ports.map((port) => ({ protocol: "TCP" as const, ...port })) };
}
