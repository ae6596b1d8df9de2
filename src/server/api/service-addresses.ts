/**
 * The addresses of Services: one each from the Network's service range, given when a Service is created.
 *
 * The Service object is the only record. In memory there is an index, so that a creation costs one look-up instead of
 * a scan; it is filled once from the store and then kept by the only writer there is, this process's API. An address
 * is claimed before the write and released when the write fails, so two concurrent creations never get the same one.
 *
 * The first candidate follows from the Service's name: a Service that is deleted and made again usually gets the same
 * address, and clients that still hold it do not reach a stranger.
 */

import type { Network } from "../../api/heddle/v1.ts";
import type { Service } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { MeshError } from "../../base/error.ts";
import { hashText } from "../../base/hash.ts";
import { addressAt, type Cidr, cidrContains, cidrSize, parseCidr } from "../../base/ip.ts";
import type { Store } from "../../store/store.ts";
import { InvalidObject } from "./invalid.ts";

export interface ServiceAddresses {
  /**
   * The Service with its address. `previous` is what it replaces: its address stays.
   * Throws InvalidObject where a fixed address is outside the range, taken or changed.
   */
  claim(service: Service, previous: Service | undefined): Promise<Service>;
  /** Gives the address back, where `service` holds it. */
  release(service: Resource): void;
}

/** Addresses at both ends that are not given: the network's own, the first (`kubernetes` by custom), broadcast. */
const reservedFirst = 2;
const reservedLast = 1;

export async function openServiceAddresses(store: Store): Promise<ServiceAddresses> {
  const holders = new Map<string, string>();
  for (const object of (await store.list("Service")).objects) {
    const address = addressOf(object as Service);
    if (address !== undefined) holders.set(address, nameOf(object));
  }

  async function range(): Promise<Cidr> {
    const network = await store.get({ kind: "Network", namespace: "", name: "default" });
    if (network === undefined) {
      throw new MeshError("api.network-absent", "give a Service an address: no Network default");
    }
    return parseCidr((network as Network).spec.serviceCidr);
  }

  function refuse(service: Service, message: string): InvalidObject {
    const issue = { path: "spec.clusterIP", message, severity: "error" } as const;
    return new InvalidObject(`Service ${nameOf(service)}`, [issue]);
  }

  return {
    async claim(service, previous) {
      const name = nameOf(service);
      const asked = service.spec.clusterIP;
      const held = previous && addressOf(previous);
      if (!hasAddress(service)) return service;
      if (held !== undefined) {
        if (asked !== undefined && asked !== "" && asked !== held) {
          throw refuse(service, `must stay "${held}", got "${asked}"`);
        }
        return withAddress(service, held);
      }
      const cidr = await range();
      // No await from here on: look-up and claim are one step.
      if (asked !== undefined && asked !== "") {
        if (!cidrContains(cidr, asked)) {
          throw refuse(service, `must be in ${cidr.address}/${cidr.prefixLength}, got "${asked}"`);
        }
        const holder = holders.get(asked);
        if (holder !== undefined && holder !== name) {
          throw refuse(service, `must be free, got "${asked}" of Service ${holder}`);
        }
        holders.set(asked, name);
        return service;
      }
      const usable = cidrSize(cidr) - reservedFirst - reservedLast;
      const start = hashText(name);
      for (let step = 0; step < usable; step++) {
        const address = addressAt(cidr, reservedFirst + ((start + step) % usable));
        if (holders.has(address)) continue;
        holders.set(address, name);
        return withAddress(service, address);
      }
      throw new MeshError(
        "api.service-addresses-exhausted",
        `give Service ${name} an address: all ${usable} of ${cidr.address}/${cidr.prefixLength} are taken`,
        { fault: "user" },
      );
    },

    release(service) {
      const address = service.kind === "Service" ? addressOf(service as Service) : undefined;
      if (address !== undefined && holders.get(address) === nameOf(service)) {
        holders.delete(address);
      }
    },
  };
}

function hasAddress({ spec }: Service): boolean {
  return spec.type !== "ExternalName" && spec.clusterIP !== "None";
}

function addressOf(service: Service): string | undefined {
  const { clusterIP } = service.spec;
  return hasAddress(service) && clusterIP !== "" ? clusterIP : undefined;
}

function withAddress(service: Service, address: string): Service {
  const spec = { ...service.spec, clusterIP: address, clusterIPs: [address] };
  return { ...service, spec };
}

function nameOf({ metadata }: Resource): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}
