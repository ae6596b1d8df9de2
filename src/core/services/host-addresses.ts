/**
 * Which addresses hosts of ServiceEntries are given that have none: so that sidecars can tell connections to two of
 * them apart that are on one port, and are no HTTP.
 *
 * The addresses are of Istio's range, which is nobody's: they lead from a pod to its sidecar and no further. Whoever
 * has one keeps it; a candidate follows from the host's and the entry's name, so that an entry that is made again
 * usually gets the same. Equal input gives equal output, so a controller that runs this twice writes once.
 */

import type { ServiceEntry } from "../../api/istio/service-entry.ts";
import { hashText } from "../../base/hash.ts";
import { addressAt, type Cidr, cidrContains, cidrSize, isIp, parseCidr } from "../../base/ip.ts";
import { hostsInNeed, normalHost } from "../registry/external-hosts.ts";
import { objectKey } from "../registry/world.ts";

/** Istio's, of class E. The mesh captures IPv4 alone, so there is no range of IPv6. */
export const hostAddressRange: Cidr = parseCidr("240.240.0.0/16");

/** Whether an address, or prefix, is one that hosts are given. */
export function isHostAddress(address: string): boolean {
  return isIp(address) && cidrContains(hostAddressRange, address);
}

type Status = NonNullable<ServiceEntry["status"]>;
type Given = NonNullable<Status["addresses"]>[number];

/** The status of each entry whose hosts have, need or had such addresses, in the order of `entries`. */
export function hostAddressStatuses(
  entries: readonly ServiceEntry[],
): readonly (readonly [ServiceEntry, Status])[] {
  const taken = new Set(entries.flatMap(({ spec }) => spec.addresses ?? []));
  const kept = new Map(entries.map((entry) => [entry, keep(entry, taken)]));
  return entries.flatMap((entry) => {
    const before = kept.get(entry) ?? [];
    const hosts = hostsInNeed(entry);
    if (hosts.length === 0 && entry.status?.addresses === undefined) return [];
    const addresses = hosts.flatMap((host): readonly Given[] => {
      const value =
        before.find((one) => one.host === host)?.value ??
        firstFree(`${objectKey(entry)} ${host}`, taken);
      if (value === undefined) return [];
      taken.add(value);
      return [{ value, host }];
    });
    const { addresses: _, ...rest } = entry.status ?? {};
    return [[entry, addresses.length === 0 ? rest : { ...rest, addresses }] as const];
  });
}

/** What its hosts have by right; of two that claim an address the first has it. */
function keep(entry: ServiceEntry, taken: Set<string>): readonly Given[] {
  const hosts = new Set(hostsInNeed(entry));
  return (entry.status?.addresses ?? []).flatMap(({ value, host = "" }) => {
    const isRight = hosts.delete(normalHost(host)) && isHostAddress(value) && !taken.has(value);
    if (!isRight) return [];
    taken.add(value);
    return [{ value, host: normalHost(host) }];
  });
}

/** Undefined: all are taken, and the host does without. */
function firstFree(seed: string, taken: ReadonlySet<string>): string | undefined {
  const usable = cidrSize(hostAddressRange) - 2; // without both ends, by custom
  const start = hashText(seed) % usable;
  for (let step = 0; step < usable; step++) {
    const address = addressAt(hostAddressRange, 1 + ((start + step) % usable));
    if (!taken.has(address)) return address;
  }
  return undefined;
}
