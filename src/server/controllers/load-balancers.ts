/**
 * Gives Services of type LoadBalancer an address of each of their families from the Network's pool, in their status.
 *
 * Which address is decided in core/services; the status is the only record. A Service that names another class of load
 * balancer is somebody else's, also to clean up. Where the pool has none left, a condition says so, and the address
 * comes as soon as another Service gives one back.
 */

import type { Service } from "../../api/k8s/core.ts";
import { sameJson } from "../../base/json.ts";
import { networkSettings } from "../../core/registry/settings.ts";
import { objectsOf } from "../../core/registry/world.ts";
import { loadBalancerStatuses } from "../../core/services/load-balancers.ts";
import type { Controller, Write } from "./controller.ts";

export const loadBalancers: Controller = {
  name: "load-balancers",
  reads: ["Service", "Network"],
  reconcile(world, { nowMs }) {
    const { loadBalancerCidrs = [] } = networkSettings(world);
    // Without a pool addresses are somebody else's to give, and to take.
    if (loadBalancerCidrs.length === 0) return { writes: [] };
    const services = objectsOf<Service>(world, "Service");
    const writes: Write[] = [];
    const now = new Date(nowMs).toISOString();
    for (const [service, status] of loadBalancerStatuses(services, loadBalancerCidrs, now)) {
      if (!sameJson(service.status ?? {}, status)) {
        writes.push({ verb: "status", object: service, status });
      }
    }
    return { writes };
  },
};
