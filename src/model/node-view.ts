/**
 * What one node must know of the world, and nothing else: made by the server (`viewFor`), carried over xDS one
 * resource at a time, compiled by the agent (`compileNode`).
 *
 * Everything here is JSON: no maps, no classes. Lists are sorted by name, so that equal worlds give equal views.
 */

import type { Cidr } from "../base/ip.ts";
import type { NodeName } from "./names.ts";

export type Protocol = "TCP" | "UDP" | "SCTP";

export interface NodeView {
  readonly node: NodeName;
  readonly settings: NetworkSettings;
  /** All nodes, this one included. */
  readonly nodes: readonly NodePeer[];
  /** Every pod that has an address, and every pod bound to this node whether it has one yet or not. */
  readonly workloads: readonly WorkloadView[];
  readonly services: readonly ServiceView[];
  /** Hosts outside of the containers that have addresses of their own in the mesh; absent: none. */
  readonly externalHosts?: readonly ExternalHostView[];
  /** One entry for each identity that some policy isolates. An identity not listed here is not isolated. */
  readonly policies: readonly IdentityPolicy[];
}

export interface NetworkSettings {
  readonly podCidr: Cidr;
  readonly blockPrefixLength: number;
  /** All ranges of pods, `podCidr` first. */
  readonly pools: readonly PoolView[];
  /** At most one for each family, the primary first. */
  readonly serviceCidrs: readonly Cidr[];
  readonly encap: Encap;
  /** What Services of type LoadBalancer are given addresses from. */
  readonly loadBalancerCidrs?: readonly Cidr[];
  /** Where node ports are answered. Absent: at the node's own address and at its IPv4 loopback. */
  readonly nodePortAddresses?: readonly Cidr[];
  /** Every connection to a cluster address comes from a node's address, also that of a pod. */
  readonly masqueradeAll?: true;
  /** Largest packet of the nodes' links where somebody said so; absent: what each node finds. */
  readonly mtu?: number;
}

export interface PoolView {
  readonly name: string;
  readonly cidr: Cidr;
  /** Packets that leave the pods' ranges get the node's address. */
  readonly masquerade: boolean;
}

/**
 * How packets get from node to node: plainly, wrapped, plainly to nodes on the same link and wrapped to others, or
 * encrypted.
 */
export type Encap =
  | { readonly kind: "none" }
  | { readonly kind: "vxlan" | "auto"; readonly vni: number; readonly port: number }
  | { readonly kind: "wireguard"; readonly port: number };

export interface NodePeer {
  readonly name: NodeName;
  /** The first of `addresses`. */
  readonly address: string;
  /** On the underlay, one for each family. */
  readonly addresses: readonly string[];
  /** The prefixes of the link that these are on; absent where the node did not say. */
  readonly networks?: readonly Cidr[];
  /** Largest packet of that link, in bytes; absent where the node did not say. */
  readonly mtu?: number;
  /** Hardware address of the node's VXLAN device: derived from the node's name, so it is known before it exists. */
  readonly vtepMac: string;
  /** Public key of the node's WireGuard device, base64; absent where it cannot have one or has not said. */
  readonly wireguardKey?: string;
  /** When its Node object was made, RFC 3339: of several that show one address the newest has it. Absent: not known. */
  readonly created?: string;
  /** Address blocks that the node holds, and what it has borrowed of others'; other nodes route them to it. */
  readonly blocks: readonly Cidr[];
  /** Label `topology.kubernetes.io/zone`. */
  readonly zone?: string;
}

export interface WorkloadView {
  readonly namespace: string;
  readonly name: string;
  /** Distinguishes a pod from a later one of the same name. */
  readonly uid: string;
  readonly node: NodeName;
  /** One for each family, the pod's primary first; none until the node's agent has given it any. */
  readonly addresses: readonly string[];
  /** Index of its set of policy-relevant labels; what policies are about. 1 and up. */
  readonly identity: number;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  /** False for a pod that asked for no sidecar (`sidecar.istio.io/inject: "false"`) or that has host networking. */
  readonly meshed: boolean;
  /** Where its sidecar is to run; absent: wherever the node's agent has them. */
  readonly sidecarMode?: SidecarMode;
  /** Its proxy is a gateway: it serves the pod's ports itself, and nothing of the pod's is captured. */
  readonly gateway?: boolean;
  /** What of its TCP the sidecar takes; absent: all. */
  readonly capture?: CaptureView;
  /** Where its addresses are to come from; absent: from the pool `default`, whichever are free. */
  readonly addressing?: AddressingView;
  /** `spec.hostname` and `spec.subdomain`, for the names of stateful pods. */
  readonly hostname?: string;
  readonly subdomain?: string;
  /** Names in its namespace beside its own, lower case; several pods may share one. */
  readonly aliases?: readonly string[];
}

/** What of a pod's TCP its sidecar takes. An absent list of exceptions is an empty one. */
export interface CaptureView {
  /** What comes in at these; absent: at all but `exceptInboundPorts`. */
  readonly inboundPorts?: readonly number[];
  readonly exceptInboundPorts?: readonly number[];
  /** What goes to these (CIDRs), and to `outboundPorts` of whatever address; absent: everywhere. */
  readonly outboundRanges?: readonly string[];
  readonly outboundPorts?: readonly number[];
  /** Exceptions from all of that. */
  readonly exceptOutboundPorts?: readonly number[];
  readonly exceptOutboundRanges?: readonly string[];
}

/** `dedicated`: a process for each pod. `shared`: a few processes for all pods of the node. */
export type SidecarMode = "dedicated" | "shared";

export interface AddressingView {
  /** Names, in order; of every family that the pod is to have. */
  readonly pools: readonly string[];
  /** Asked for by name, at most one of each family. */
  readonly addresses: readonly string[];
}

export interface ServiceView {
  readonly namespace: string;
  readonly name: string;
  /** The first of `clusterIps`. Undefined for headless and ExternalName Services. */
  readonly clusterIp?: string;
  /** At most one for each family, the primary first. Absent means: just `clusterIp`. */
  readonly clusterIps?: readonly string[];
  readonly externalName?: string;
  /** Addresses from outside the cluster, of the families that it has a cluster address of. */
  readonly external?: readonly ExternalAddress[];
  /** Who may use addresses of kind `load-balancer`. Absent: everybody. */
  readonly sourceRanges?: readonly Cidr[];
  /** Only endpoints on the client's own node, for connections to the cluster address. */
  readonly internalLocal?: true;
  /** Only endpoints on the node that the connection arrives at, and the client's own address kept. */
  readonly externalLocal?: true;
  /** A client stays with its endpoint until it has been silent for so long. */
  readonly affinitySeconds?: number;
  /** Absent: at random. */
  readonly balancing?: "maglev";
  /** Port at which each node tells whether it has an endpoint of its own. */
  readonly healthCheckNodePort?: number;
  readonly ports: readonly ServicePortView[];
}

/** What a ServiceEntry makes of names: where they lead those who have a sidecar. */
export interface ExternalHostView {
  readonly namespace: string;
  readonly name: string;
  /** When it was made, RFC 3339: of entries that share a host the oldest counts. Empty: not known. */
  readonly created: string;
  /** Without addresses: where the outside says. */
  readonly hosts: readonly { readonly host: string; readonly addresses: readonly string[] }[];
  /** Namespaces whose pods see it; absent: all. */
  readonly exportTo?: readonly string[];
}

export interface ExternalAddress {
  readonly kind: "external-ip" | "load-balancer";
  readonly address: string;
}

export interface ServicePortView {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** The same on every node's own addresses. */
  readonly nodePort?: number;
  /** Ready endpoints of all families, sorted by address. */
  readonly endpoints: readonly EndpointView[];
  /** On their way out but answering still: better than nothing (KEP-1669). Absent: none. */
  readonly draining?: readonly EndpointView[];
}

export interface EndpointView {
  readonly address: string;
  readonly port: number;
  readonly node?: NodeName;
  /** The pod behind it, for DNS names of headless Services. */
  readonly hostname?: string;
  /** Its share of connections beside the others'; absent means 1. */
  readonly weight?: number;
  /** Nodes and zones whose clients should prefer it. Absent: no preference is known. */
  readonly forNodes?: readonly NodeName[];
  readonly forZones?: readonly string[];
}

/** What the policies say of all pods of one identity. A direction that is undefined is not isolated. */
export interface IdentityPolicy {
  readonly identity: number;
  readonly ingress?: DirectionPolicy;
  readonly egress?: DirectionPolicy;
}

export interface DirectionPolicy {
  /** Names (`namespace/name`) of the policies that isolate the identity in this direction: whom to blame for a drop. */
  readonly isolatedBy: readonly string[];
  /** A connection is allowed when any of these matches. */
  readonly allow: readonly AllowRule[];
}

export interface AllowRule {
  /** `namespace/name` of the policy the rule is from. */
  readonly policy: string;
  readonly peers: PeerMatch;
  readonly ports: PortMatch;
}

export type PeerMatch =
  | { readonly kind: "any" }
  | {
      readonly kind: "some";
      readonly identities: readonly number[];
      readonly blocks: readonly { readonly cidr: Cidr; readonly except: readonly Cidr[] }[];
    };

export type PortMatch =
  | { readonly kind: "any" }
  | { readonly kind: "some"; readonly ports: readonly PortRange[] };

export interface PortRange {
  readonly protocol: Protocol;
  /** Undefined: every port of the protocol. */
  readonly first?: number;
  readonly last?: number;
}

/** A pod's place on this node: what the agent itself knows and keeps on disk, the other input of `compileNode`. */
export interface Attachment {
  readonly containerId: string;
  readonly ifName: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** One for each family, the pod's primary first; at least one. */
  readonly addresses: readonly string[];
  /** Name of the veth on the host's side. */
  readonly hostLink: string;
  readonly mac: string;
  /** Ports of the node that lead to the pod, as the runtime asked for them. */
  readonly hostPorts?: readonly HostPort[];
  readonly bandwidth?: Bandwidth;
}

/** A port of the node that leads to one of a pod's. */
export interface HostPort {
  readonly protocol: Protocol;
  readonly hostPort: number;
  readonly containerPort: number;
  /** Undefined: on every address of the node. `0.0.0.0` and `::` are every address of their family. */
  readonly hostAddress?: string;
}

export function isAnyAddress(hostAddress: string): boolean {
  return hostAddress === "0.0.0.0" || hostAddress === "::";
}

/** What a pod may take from the network. A direction that is undefined is not limited. */
export interface Bandwidth {
  /** Towards the pod. */
  readonly ingress?: Rate;
  /** From the pod. */
  readonly egress?: Rate;
}

export interface Rate {
  readonly bitsPerSecond: number;
  /** What may pass at once after a silence. */
  readonly burstBytes: number;
}
