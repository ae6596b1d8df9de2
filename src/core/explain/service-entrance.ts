/** Whose an address is among Services: a cluster address, one from outside, or a node's with a node port. */

import type { Service } from "../../api/k8s/core.ts";
import { clusterIpsOf } from "../registry/services.ts";
import { viewFor } from "../registry/view.ts";
import { objectsOf, type World } from "../registry/world.ts";

export interface Entrance {
  readonly service: Service;
  /** `the address`, `an external address` … */
  readonly what: string;
  /** The Service's own port behind it; undefined where none was asked for. */
  readonly port: number | undefined;
}

export function serviceEntrance(
  world: World,
  address: string,
  port: number | undefined,
): Entrance | undefined {
  for (const service of objectsOf<Service>(world, "Service")) {
    const what = whatOf(service, address);
    if (what !== undefined) return { service, what, port };
  }
  return port === undefined ? undefined : nodePort(world, address, port);
}

function whatOf(service: Service, address: string): string | undefined {
  if (clusterIpsOf(service).includes(address)) return "the address";
  if (service.spec.externalIPs?.includes(address) === true) return "an external address";
  const ingress = service.status?.loadBalancer?.ingress ?? [];
  return ingress.some(({ ip, ipMode }) => ip === address && ipMode !== "Proxy")
    ? "a load balancer address"
    : undefined;
}

function nodePort(world: World, address: string, port: number): Entrance | undefined {
  const node = viewFor(world, "").nodes.find((each) => each.addresses.includes(address));
  if (node === undefined) return undefined;
  for (const service of objectsOf<Service>(world, "Service")) {
    const found = service.spec.ports?.find((each) => each.nodePort === port);
    if (found !== undefined) {
      return { service, what: `node port ${port} on ${node.name}`, port: found.port };
    }
  }
  return undefined;
}
