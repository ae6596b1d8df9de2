/**
 * What connections to a ServiceEntry's hosts are recognised by: the addresses that its writer gave, else the one that
 * the server gave to a host (`status.addresses`).
 *
 * Whoever goes to where the application wants to go (`NONE`) cannot be sent to an address that leads nowhere, and a
 * wildcard has no name to give one to: these have none.
 */

import type { ServiceEntry } from "../../api/istio/service-entry.ts";
import { canonicalIp, isIp } from "../../base/ip.ts";
import type { ExternalHostView } from "../../model/node-view.ts";
import { namespaceOf } from "./workloads.ts";
import { objectsOf, type World } from "./world.ts";

/** What name servers must know of ServiceEntries, sorted by name. */
export function externalHosts(world: World): readonly ExternalHostView[] {
  return objectsOf<ServiceEntry>(world, "ServiceEntry").map((entry) => {
    const { exportTo, hosts } = entry.spec;
    return {
      namespace: namespaceOf(entry),
      name: entry.metadata.name,
      created: entry.metadata.creationTimestamp ?? "",
      hosts: [...new Set(hosts.map(normalHost))].map((host) => ({
        host,
        addresses: addressesOfHost(entry, host).filter(isIp),
      })),
      ...(exportTo === undefined ? {} : { exportTo }),
    };
  });
}

/**
 * Hosts that are to be given an address, as Istio does: label `networking.istio.io/enable-autoallocate-ip` opts out.
 */
export function hostsInNeed({ metadata, spec }: ServiceEntry): readonly string[] {
  const { resolution = "NONE", addresses = [], hosts } = spec;
  const isOut = metadata.labels?.["networking.istio.io/enable-autoallocate-ip"] === "false";
  if (isOut || addresses.length > 0 || resolution === "NONE" || resolution === "DYNAMIC_DNS") {
    return [];
  }
  return [...new Set(hosts.map(normalHost))].filter((host) => !host.startsWith("*"));
}

/** Addresses and prefixes, in canonical form. */
export function addressesOfHost(entry: ServiceEntry, host: string): readonly string[] {
  const { addresses = [] } = entry.spec;
  if (addresses.length > 0) return addresses.map(canonical);
  if (!hostsInNeed(entry).includes(normalHost(host))) return [];
  return (entry.status?.addresses ?? [])
    .filter((given) => given.host !== undefined && normalHost(given.host) === normalHost(host))
    .map(({ value }) => canonical(value));
}

/** Lower case, without the final dot. */
export function normalHost(host: string): string {
  return host.toLowerCase().replace(/\.$/, "");
}

/** A prefix that is one address is that address. */
function canonical(text: string): string {
  const [address = "", length] = text.split("/");
  if (!isIp(address)) return text;
  const isWhole = length === undefined || length === (address.includes(":") ? "128" : "32");
  return isWhole ? canonicalIp(address) : `${canonicalIp(address)}/${length}`;
}
