/**
 * Who holds which cluster address and node port; what a Service is given is decided in core/services.
 *
 * The Service objects are the only record. In memory there is an index, so that a creation costs one look-up instead of
 * a scan; it is filled once from the store and then kept by the only writer there is, this process's API. Claims are
 * taken before the write and settled after it, by what is stored then, so two concurrent creations never get the same.
 */

import type { Network } from "../../api/heddle/v1.ts";
import type { Service } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { MeshError } from "../../base/error.ts";
import type { Cidr } from "../../base/ip.ts";
import { parseCidrs } from "../../core/registry/settings.ts";
import { allocate, claimsOf } from "../../core/services/allocate.ts";
import type { Store } from "../../store/store.ts";
import { InvalidObject } from "./invalid.ts";

export interface ServiceAddresses {
  /**
   * The Service with all that it is given. `previous` is what it replaces: what that has stays. Until `settle` both
   * hold their claims. Throws InvalidObject where something asked for is outside its range, taken or changed.
   */
  claim(service: Service, previous: Service | undefined): Promise<Service>;
  /** The write that a claim was for is over; `stored` is what there is now, undefined for nothing. */
  settle(service: Resource, stored: Resource | undefined): void;
  /** The Service is gone. */
  release(service: Resource): void;
}

export async function openServiceAddresses(store: Store): Promise<ServiceAddresses> {
  const holders = new Map<string, string>();
  const held = new Map<string, Set<string>>();
  /** Writes under way, by Service: while there are any, nothing of it is given back. */
  const pending = new Map<string, number>();

  function hold(name: string, claims: readonly string[]): void {
    const own = held.get(name) ?? new Set();
    held.set(name, own);
    for (const claim of claims) {
      holders.set(claim, name);
      own.add(claim);
    }
  }

  function keepOnly(name: string, claims: readonly string[]): void {
    const own = held.get(name) ?? new Set();
    for (const claim of own) {
      if (claims.includes(claim)) continue;
      own.delete(claim);
      if (holders.get(claim) === name) holders.delete(claim);
    }
    if (own.size === 0) held.delete(name);
  }

  for (const object of (await store.list("Service")).objects) {
    hold(nameOf(object), claimsOf(object as Service));
  }

  async function ranges(): Promise<readonly Cidr[]> {
    const network = await store.get({ kind: "Network", namespace: "", name: "default" });
    if (network === undefined) {
      throw new MeshError("api.network-absent", "give a Service an address: no Network default");
    }
    return parseCidrs((network as Network).spec.serviceCidr);
  }

  return {
    async claim(service, previous) {
      const name = nameOf(service);
      const cidrs = await ranges();
      // No await from here on: look-up and claim are one step.
      const allocation = allocate(service, previous, cidrs, (claim) => holders.get(claim));
      switch (allocation.kind) {
        case "refused":
          throw new InvalidObject(`Service ${name}`, allocation.issues);
        case "exhausted":
          throw new MeshError(
            "api.service-addresses-exhausted",
            `give Service ${name} ${allocation.what}`,
            { fault: "user" },
          );
        case "given":
          hold(name, allocation.claims);
          pending.set(name, (pending.get(name) ?? 0) + 1);
          return allocation.service;
      }
    },

    settle(service, stored) {
      const name = nameOf(service);
      const others = (pending.get(name) ?? 1) - 1;
      if (others > 0) {
        pending.set(name, others);
        return;
      }
      pending.delete(name);
      const claims = stored === undefined ? [] : claimsOf(stored as Service);
      hold(name, claims);
      keepOnly(name, claims);
    },

    release(service) {
      if (service.kind === "Service" && !pending.has(nameOf(service))) {
        keepOnly(nameOf(service), []);
      }
    },
  };
}

function nameOf({ metadata }: Resource): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}
