/** The address plan: what the Network object named `default` says, and what holds while there is none. */

import type { Network } from "../../api/heddle/v1.ts";
import { parseCidr } from "../../base/ip.ts";
import { ports, vxlanVni } from "../../model/names.ts";
import type { NetworkSettings } from "../../model/node-view.ts";
import { objectNamed, type World } from "./world.ts";

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

export function networkSettings(world: World): NetworkSettings {
  const { spec } = objectNamed<Network>(world, "Network", "", "default") ?? defaultNetwork;
  return {
    podCidr: parseCidr(spec.podCidr),
    blockPrefixLength: spec.blockPrefixLength,
    serviceCidr: parseCidr(spec.serviceCidr),
    encap:
      spec.encap === "vxlan"
        ? { kind: "vxlan", vni: vxlanVni, port: ports.vxlan }
        : { kind: "none" },
  };
}
