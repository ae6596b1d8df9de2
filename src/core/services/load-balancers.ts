/**
 * Which load balancer addresses Services have: one of each family from a pool, and who has to wait.
 *
 * Whoever has an address keeps it while the pool still has it in range. Then come those that ask for one
 * (`spec.loadBalancerIP`), then the rest, by name; a candidate follows from the Service's name, so one that is made
 * again usually gets the same. Equal input gives equal output, so a controller that runs this twice writes once.
 */

import type { LoadBalancerIngress, Service } from "../../api/k8s/core.ts";
import type { Condition } from "../../api/resource.ts";
import { hashText } from "../../base/hash.ts";
import {
  addressAt,
  type Cidr,
  cidrContains,
  cidrSize,
  familyOf,
  type IpFamily,
  isIp,
  renderCidr,
} from "../../base/ip.ts";
import { clusterIpsOf } from "../registry/services.ts";

/** Named in `spec.loadBalancerClass`, or meant where that is absent. */
export const loadBalancerClass = "heddle.dev/pool";

export const poolCondition = "heddle.dev/LoadBalancerAddress";

const mostCandidates = 2 ** 16; // of a large pool: enough, and a scan of it ends

type Status = NonNullable<Service["status"]>;

/** The status of every Service that is ours to serve, or was, in the order of `services`. `now` is an RFC 3339 time. */
export function loadBalancerStatuses(
  services: readonly Service[],
  pool: readonly Cidr[],
  now: string,
): readonly (readonly [Service, Status])[] {
  const ours = services.filter(isOurs);
  const taken = new Set(services.filter((each) => !ours.includes(each)).flatMap(addressesOf));
  const kept = new Map(ours.map((service) => [service, keep(service, pool, taken)]));
  for (const service of ours.filter(({ spec }) => isIp(spec.loadBalancerIP ?? ""))) {
    giveWished(service, kept.get(service) ?? [], pool, taken);
  }
  const results = new Map(
    ours.map((service) => {
      const addresses = kept.get(service) ?? [];
      const missing = give(service, addresses, pool, taken);
      return [service, statusOf(service, addresses, missing, pool, now)];
    }),
  );
  return services.flatMap((service) => {
    const status = results.get(service) ?? withdrawn(service);
    return status === undefined ? [] : [[service, status] as const];
  });
}

function isOurs({ spec }: Service): boolean {
  const { type, loadBalancerClass: wanted = loadBalancerClass } = spec;
  return type === "LoadBalancer" && wanted === loadBalancerClass;
}

function addressesOf({ status }: Service): readonly string[] {
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
}

function keep(service: Service, pool: readonly Cidr[], taken: Set<string>): string[] {
  const families = clusterIpsOf(service).map(familyOf);
  const wish = service.spec.loadBalancerIP;
  return addressesOf(service).filter((address) => {
    const isKept =
      isIp(address) &&
      families.includes(familyOf(address)) &&
      (wish === undefined || familyOf(wish) !== familyOf(address) || wish === address) &&
      pool.some((cidr) => cidrContains(cidr, address)) &&
      !taken.has(address);
    if (isKept) taken.add(address);
    return isKept;
  });
}

function giveWished(
  { spec }: Service,
  addresses: string[],
  pool: readonly Cidr[],
  taken: Set<string>,
): void {
  const wish = spec.loadBalancerIP ?? "";
  if (addresses.includes(wish) || taken.has(wish)) return;
  if (!pool.some((cidr) => cidrContains(cidr, wish))) return;
  taken.add(wish);
  addresses.push(wish);
}

/** Fills in what families lack; answers which could not be had. */
function give(
  service: Service,
  addresses: string[],
  pool: readonly Cidr[],
  taken: Set<string>,
): readonly IpFamily[] {
  const wish = service.spec.loadBalancerIP;
  const missing: IpFamily[] = [];
  for (const family of clusterIpsOf(service).map(familyOf)) {
    if (addresses.some((each) => familyOf(each) === family)) continue;
    const isFixed = wish !== undefined && isIp(wish) && familyOf(wish) === family;
    const address = isFixed ? undefined : firstFree(service, family, pool, taken);
    if (address === undefined) missing.push(family);
    else {
      taken.add(address);
      addresses.push(address);
    }
  }
  return missing;
}

function firstFree(
  { metadata }: Service,
  family: IpFamily,
  pool: readonly Cidr[],
  taken: ReadonlySet<string>,
): string | undefined {
  for (const cidr of pool.filter(({ address }) => familyOf(address) === family)) {
    const count = Math.min(cidrSize(cidr), mostCandidates);
    const start = hashText(`${metadata.namespace}/${metadata.name}`) % count;
    for (let step = 0; step < count; step++) {
      const address = addressAt(cidr, (start + step) % count);
      if (!taken.has(address)) return address;
    }
  }
  return undefined;
}

function statusOf(
  service: Service,
  addresses: readonly string[],
  missing: readonly IpFamily[],
  pool: readonly Cidr[],
  now: string,
): Status {
  const { conditions = [], ...rest } = service.status ?? {};
  const others = conditions.filter(({ type }) => type !== poolCondition);
  const families = clusterIpsOf(service).map(familyOf);
  const ingress: readonly LoadBalancerIngress[] = families.flatMap((family) =>
    addresses
      .filter((each) => familyOf(each) === family)
      .map((address) => ({ ip: address, ipMode: "VIP" as const })),
  );
  const said = missing.length === 0 ? [] : [condition(service, missing, pool, now)];
  const all = [...others, ...said];
  return {
    ...rest,
    loadBalancer: ingress.length === 0 ? {} : { ingress },
    ...(all.length === 0 ? {} : { conditions: all }),
  };
}

/** The same while it says the same: its time is that of the change. */
function condition(
  { spec, status }: Service,
  missing: readonly IpFamily[],
  pool: readonly Cidr[],
  now: string,
): Condition {
  const ranges = pool.map(renderCidr).join(", ");
  const wish = spec.loadBalancerIP;
  const message =
    wish === undefined
      ? `no ${missing.join(" or ")} address of ${ranges} is free`
      : `spec.loadBalancerIP: must be a free address of ${ranges}, got "${wish}"`;
  const before = status?.conditions?.find(({ type }) => type === poolCondition);
  if (before?.message === message) return before;
  return {
    type: poolCondition,
    status: "False",
    reason: wish === undefined ? "PoolExhausted" : "AddressNotAvailable",
    message,
    lastTransitionTime: now,
  };
}

/** A Service that is no load balancer any more has no such address; undefined where it says nothing of ours. */
function withdrawn(service: Service): Status | undefined {
  if (service.spec.type === "LoadBalancer" || addressesOf(service).length === 0) return undefined;
  return { ...service.status, loadBalancer: {} };
}
