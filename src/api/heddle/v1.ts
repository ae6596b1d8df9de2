/** heddle.dev/v1: the kinds that no other API has: addresses and who holds them. Cluster-scoped. */

import type { LabelSelector, Resource } from "../resource.ts";

/** The address plan; one named `default` exists from the server's first start. */
export interface Network extends Resource {
  readonly kind: "Network";
  readonly spec: {
    readonly podCidr: string;
    readonly blockPrefixLength: number;
    /** Of cluster addresses; one range, or one for each family with a comma between, the primary first. */
    readonly serviceCidr: string;
    /** Addresses of either family that Services of type LoadBalancer are given. */
    readonly loadBalancerCidrs?: readonly string[];
    /** Where node ports are answered; absent: at each node's own address and at 127.0.0.0/8. */
    readonly nodePortCidrs?: readonly string[];
    /** Pods, too, reach cluster addresses under a node's address. */
    readonly masqueradeAll?: boolean;
    /** `direct` and `none` are the same: nodes share a link. */
    readonly encap: "none" | "direct" | "vxlan" | "auto" | "wireguard";
    /** UDP port of WireGuard on every node; absent: 51871. */
    readonly wireguardPort?: number;
    /** Largest packet of the nodes' links, in bytes; absent: what each node finds on its own. */
    readonly mtu?: number;
    /** What sidecars do with destinations that no Service and no ServiceEntry is: Istio's mesh option. */
    readonly outboundTrafficPolicy?: { readonly mode?: "ALLOW_ANY" | "REGISTRY_ONLY" };
    /** To whom Telemetries may have something told: Istio's mesh option. */
    readonly extensionProviders?: readonly ExtensionProvider[];
  };
}

/** One of the two. */
export interface ExtensionProvider {
  readonly name: string;
  /** A collector of spans. */
  readonly opentelemetry?: {
    /** `namespace/host` or the host alone, whole. */
    readonly service: string;
    readonly port: number;
    /** Spans go by OTLP over HTTP; the path is `/v1/traces` unless given. */
    readonly http: { readonly path?: string };
  };
  /** The sidecar's own log, whatever the path. */
  readonly envoyFileAccessLog?: { readonly path?: string };
}

/** A further range of pod addresses, of either family, for all pods or for those that its selectors choose. */
export interface AddressPool extends Resource {
  readonly kind: "AddressPool";
  readonly spec: {
    readonly cidr: string;
    /** Length of the blocks that nodes take; 26 or 122 where absent. */
    readonly blockPrefixLength?: number;
    readonly nodeSelector?: LabelSelector;
    readonly namespaceSelector?: LabelSelector;
    /** Gives no more addresses; those that are in use stay. */
    readonly disabled?: boolean;
    /** Nodes never take parts of each other's blocks. */
    readonly strictAffinity?: boolean;
    /** False: packets leave the pods' ranges with the pod's own address. */
    readonly masquerade?: boolean;
  };
}

/** Addresses that pods get only by asking for them by name. */
export interface AddressReservation extends Resource {
  readonly kind: "AddressReservation";
  readonly spec: { readonly cidrs: readonly string[] };
}

/** A block of pod addresses and the node that holds it. Named after its CIDR (`10.244.0.64-26`); taken by create. */
export interface AddressBlock extends Resource {
  readonly kind: "AddressBlock";
  readonly spec: {
    readonly cidr: string;
    /** Gets the packets for all of the block but what others claim. */
    readonly node: string;
    /** Which node may give which part to its pods; absent: `node` may give all. Disjoint, inside the block. */
    readonly claims?: readonly { readonly cidr: string; readonly node: string }[];
    /** About to be deleted: nobody claims of it any more. */
    readonly released?: boolean;
  };
}
