/** heddle.dev/v1: the kinds that no other API has: addresses and who holds them. Cluster-scoped. */

import type { Resource } from "../resource.ts";

/** The address plan; one named `default` exists from the server's first start. */
export interface Network extends Resource {
  readonly kind: "Network";
  readonly spec: {
    readonly podCidr: string;
    readonly blockPrefixLength: number;
    readonly serviceCidr: string;
    readonly encap: "none" | "vxlan";
  };
}

/** A block of pod addresses and the node that holds it. Named after its CIDR (`10.244.0.64-26`); taken by create. */
export interface AddressBlock extends Resource {
  readonly kind: "AddressBlock";
  readonly spec: { readonly cidr: string; readonly node: string };
}
