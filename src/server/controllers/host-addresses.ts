/** Gives hosts of ServiceEntries that have no address one of their own, in their status (core/services). */

import type { ServiceEntry } from "../../api/istio/service-entry.ts";
import { sameJson } from "../../base/json.ts";
import { objectsOf } from "../../core/registry/world.ts";
import { hostAddressStatuses } from "../../core/services/host-addresses.ts";
import type { Controller } from "./controller.ts";

export const hostAddresses: Controller = {
  name: "host-addresses",
  reads: ["ServiceEntry"],
  reconcile(world) {
    const statuses = hostAddressStatuses(objectsOf<ServiceEntry>(world, "ServiceEntry"));
    return {
      writes: statuses
        .filter(([entry, status]) => !sameJson(entry.status ?? {}, status))
        .map(([object, status]) => ({ verb: "status", object, status })),
    };
  },
};
