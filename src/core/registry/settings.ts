/** The address plan: what the Network object named `default` says, and what holds while there is none. */

import type { AddressPool, Network } from "../../api/heddle/v1.ts";
import { type Cidr, parseCidr } from "../../base/ip.ts";
import { ports, vxlanVni } from "../../model/names.ts";
import type { Encap, NetworkSettings } from "../../model/node-view.ts";
import { poolsOf } from "../ipam/pools.ts";
import { objectNamed, objectsOf, type World } from "./world.ts";

export const defaultNetwork: Network = {
  apiVersion: "heddle.dev/v1",
  kind: "Network",
  metadata: { name: "default" },
  spec: {
    podCidr: "10.244.0.0/16",
    blockPrefixLength: 26,
    serviceCidr: "10.96.0.0/16",
    encap: "vxlan",
  },
};

function encapOf({ encap: word, wireguardPort }: Network["spec"]): Encap {
  switch (word) {
    case "vxlan":
    case "auto":
      return { kind: word, vni: vxlanVni, port: ports.vxlan };
    case "wireguard":
      return { kind: "wireguard", port: wireguardPort ?? ports.wireguard };
    default:
      return { kind: "none" };
  }
}

export function networkOf(world: World): Network {
  return objectNamed<Network>(world, "Network", "", "default") ?? defaultNetwork;
}

/** `10.96.0.0/16`, or a range of each family with a comma between. */
export function parseCidrs(text: string): readonly Cidr[] {
  return text.split(",").map((part) => parseCidr(part.trim()));
}

export function networkSettings(world: World): NetworkSettings {
  const network = networkOf(world);
  const { spec } = network;
  const { loadBalancerCidrs, nodePortCidrs, masqueradeAll } = spec;
  const pools = poolsOf(network, objectsOf<AddressPool>(world, "AddressPool"));
  return {
    podCidr: parseCidr(spec.podCidr),
    blockPrefixLength: spec.blockPrefixLength,
    pools: pools.map(({ name, cidr, masquerade }) => ({ name, cidr, masquerade })),
    serviceCidrs: parseCidrs(spec.serviceCidr),
    ...(loadBalancerCidrs === undefined
      ? {}
      : { loadBalancerCidrs: loadBalancerCidrs.map(parseCidr) }),
    ...(nodePortCidrs === undefined ? {} : { nodePortAddresses: nodePortCidrs.map(parseCidr) }),
    ...(masqueradeAll === true ? { masqueradeAll } : {}),
    encap: encapOf(spec),
    ...(spec.mtu === undefined ? {} : { mtu: spec.mtu }),
  };
}
