/** Kubernetes core/v1 and apps/v1: the fields that Heddle reads or writes; others are kept as they came. */

import type { IpFamily } from "../../base/ip.ts";
import type { Condition, LabelSelector, ObjectMeta, Resource } from "../resource.ts";

export interface Namespace extends Resource {
  readonly kind: "Namespace";
}

export interface Secret extends Resource {
  readonly kind: "Secret";
  readonly type?: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

export interface ServiceAccount extends Resource {
  readonly kind: "ServiceAccount";
}

export interface Node extends Resource {
  readonly kind: "Node";
  readonly spec?: { readonly unschedulable?: boolean };
  readonly status?: {
    readonly addresses?: readonly {
      readonly type: "InternalIP" | "Hostname";
      readonly address: string;
    }[];
    readonly conditions?: readonly Condition[];
  };
}

export interface Pod extends Resource {
  readonly kind: "Pod";
  readonly spec: PodSpec;
  readonly status?: PodStatus;
}

export interface PodSpec {
  /** Set by the scheduler; a pod with a node is that node's to run. */
  readonly nodeName?: string;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly serviceAccountName?: string;
  readonly hostNetwork?: boolean;
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly restartPolicy?: "Always" | "OnFailure" | "Never";
  readonly terminationGracePeriodSeconds?: number;
  readonly containers: readonly Container[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly ports?: readonly ContainerPort[];
  readonly readinessProbe?: Probe;
}

export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol?: "TCP" | "UDP" | "SCTP";
  readonly hostPort?: number;
}

export interface Probe {
  readonly httpGet?: { readonly path?: string; readonly port: number | string };
  readonly tcpSocket?: { readonly port: number | string };
  readonly periodSeconds?: number;
}

export interface PodStatus {
  readonly phase?: "Pending" | "Running" | "Succeeded" | "Failed";
  readonly podIP?: string;
  readonly podIPs?: readonly { readonly ip: string }[];
  readonly hostIP?: string;
  readonly conditions?: readonly Condition[];
  readonly message?: string;
  readonly containerStatuses?: readonly {
    readonly name: string;
    readonly ready: boolean;
    readonly restartCount: number;
    readonly image?: string;
  }[];
}

/** Annotation of a Service: `maglev` has the same client reach the same endpoint by way of whatever node. */
export const balancingAnnotation = "heddle.dev/load-balancing";

/** Annotation of a Pod: its share of a Service's connections beside others, 0 to 1000; absent means 1. */
export const weightAnnotation = "heddle.dev/weight";

/** Annotation of a Pod: one of `sidecarModes`; absent means as its node does. */
export const sidecarModeAnnotation = "heddle.dev/sidecar-mode";
/** A process for the pod alone, or one that it shares with others of its node. */
export const sidecarModes = ["dedicated", "shared"] as const;

export interface Service extends Resource {
  readonly kind: "Service";
  readonly spec: ServiceSpec;
  readonly status?: {
    readonly loadBalancer?: { readonly ingress?: readonly LoadBalancerIngress[] };
    readonly conditions?: readonly Condition[];
  };
}

export interface LoadBalancerIngress {
  readonly ip?: string;
  readonly hostname?: string;
  /** `Proxy`: the balancer ends connections itself, so nodes do not answer for its address. */
  readonly ipMode?: "VIP" | "Proxy";
}

export interface ServiceSpec {
  readonly type?: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  /** An address, `None` for headless, or absent until the server gives one. */
  readonly clusterIP?: string;
  /** One for each family, `clusterIP` first. */
  readonly clusterIPs?: readonly string[];
  readonly ipFamilies?: readonly IpFamily[];
  readonly ipFamilyPolicy?: "SingleStack" | "PreferDualStack" | "RequireDualStack";
  readonly externalIPs?: readonly string[];
  readonly externalTrafficPolicy?: "Cluster" | "Local";
  readonly internalTrafficPolicy?: "Cluster" | "Local";
  readonly healthCheckNodePort?: number;
  readonly allocateLoadBalancerNodePorts?: boolean;
  readonly loadBalancerClass?: string;
  readonly loadBalancerIP?: string;
  readonly loadBalancerSourceRanges?: readonly string[];
  readonly sessionAffinity?: "ClientIP" | "None";
  readonly sessionAffinityConfig?: { readonly clientIP?: { readonly timeoutSeconds?: number } };
  readonly trafficDistribution?: "PreferClose" | "PreferSameZone" | "PreferSameNode";
  readonly selector?: Readonly<Record<string, string>>;
  readonly ports?: readonly ServicePort[];
  readonly externalName?: string;
  readonly publishNotReadyAddresses?: boolean;
}

export interface ServicePort {
  readonly name?: string;
  readonly protocol?: "TCP" | "UDP" | "SCTP";
  readonly port: number;
  readonly targetPort?: number | string;
  readonly appProtocol?: string;
  readonly nodePort?: number;
}

/** discovery.k8s.io/v1. Made by the endpoints controller for each Service with a selector. */
export interface EndpointSlice extends Resource {
  readonly kind: "EndpointSlice";
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly ports: readonly {
    readonly name?: string;
    readonly protocol?: "TCP" | "UDP" | "SCTP";
    readonly port: number;
    readonly appProtocol?: string;
  }[];
  readonly endpoints: readonly SliceEndpoint[];
}

export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly conditions?: {
    readonly ready?: boolean;
    readonly serving?: boolean;
    readonly terminating?: boolean;
  };
  readonly nodeName?: string;
  readonly zone?: string;
  /** Whose clients should prefer it. */
  readonly hints?: {
    readonly forNodes?: readonly { readonly name: string }[];
    readonly forZones?: readonly { readonly name: string }[];
  };
  readonly hostname?: string;
  readonly targetRef?: {
    readonly kind: "Pod";
    readonly name: string;
    readonly namespace: string;
    readonly uid?: string;
  };
}

export interface Deployment extends Resource {
  readonly kind: "Deployment";
  readonly spec: {
    readonly replicas?: number;
    readonly selector: LabelSelector;
    readonly strategy?: { readonly type?: "RollingUpdate" | "Recreate" };
    readonly template: { readonly metadata?: Partial<ObjectMeta>; readonly spec: PodSpec };
  };
  readonly status?: {
    readonly replicas?: number;
    readonly readyReplicas?: number;
    readonly observedGeneration?: number;
  };
}
