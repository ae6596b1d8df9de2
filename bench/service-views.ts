/** Many Services of all kinds, as a node's view: what the Services' benches compile, load and change. */

import { parseCidr } from "../src/base/ip.ts";
import { viewFor } from "../src/core/registry/view.ts";
import { emptyWorld } from "../src/core/registry/world.ts";
import type { EndpointView, NodeView, ServiceView } from "../src/model/node-view.ts";

export const nodeAddress = "192.0.2.1";

/** One in ten keeps clients, one in ten is a balancer with the client's address kept, one in ten has a node port. */
export function manyServices(count: number, endpoints = 4): readonly ServiceView[] {
  return Array.from({ length: count }, (_, index) => serviceAt(index, endpoints));
}

export function serviceAt(index: number, endpoints: number, shift = 0): ServiceView {
  const nodePort = 30_000 + (index % 2_700);
  const kind = index % 10;
  // Node ports are fewer than Services: those of the first 2 700 of a kind are used.
  const isReached = kind === 1 || kind === 2;
  const port = isReached && index < 27_000 / 10 ? { nodePort } : {};
  return {
    namespace: "bench",
    name: `service-${String(index).padStart(6, "0")}`,
    clusterIp: `10.${96 + Math.floor(index / 65_536)}.${Math.floor(index / 256) % 256}.${index % 256}`,
    ...(kind === 0 ? { affinitySeconds: 10_800 } : {}),
    ...(kind === 1
      ? {
          externalLocal: true as const,
          external: [
            {
              kind: "load-balancer" as const,
              address: `198.18.${Math.floor(index / 256) % 256}.${index % 256}`,
            },
          ],
        }
      : {}),
    ports: [
      {
        name: "http",
        protocol: "TCP",
        port: 80,
        ...port,
        endpoints: Array.from({ length: endpoints }, (_, slot) => endpointAt(index, slot, shift)),
      },
    ],
  };
}

function endpointAt(index: number, slot: number, shift: number): EndpointView {
  const number = index * 4 + slot + shift * 1_000_003;
  return {
    address: `10.${128 + (Math.floor(number / 65_536) % 64)}.${Math.floor(number / 256) % 256}.${number % 256}`,
    port: 8080,
    node: slot === 0 ? "one" : "two",
  };
}

export function viewOf(services: readonly ServiceView[]): NodeView {
  const view = viewFor(emptyWorld(), "one");
  return {
    ...view,
    settings: {
      ...view.settings,
      pools: [{ name: "default", cidr: parseCidr("10.128.0.0/10"), masquerade: true }],
      serviceCidrs: [parseCidr("10.96.0.0/12")],
      encap: { kind: "none" },
    },
    nodes: [
      {
        name: "one",
        address: nodeAddress,
        addresses: [nodeAddress],
        vtepMac: "02:00:00:00:00:01",
        blocks: [],
      },
    ],
    services,
  };
}
