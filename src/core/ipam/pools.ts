/**
 * The ranges that pods get addresses from, and which of them a pod may use.
 *
 * The Network's own range is the pool `default`, open to all; AddressPool objects add others. A pool may be kept for
 * nodes, for namespaces, or for both. Of those that admit a pod, in each family, the ones with the most selectors are
 * used and no other: a namespace that has a pool of its own never spills into the common one, since what is outside
 * (a firewall, a router) was told which range it is.
 */

import type { AddressPool, Network } from "../../api/heddle/v1.ts";
import { type Cidr, familyOf, type IpFamily, ipFamilies, parseCidr } from "../../base/ip.ts";
import { type Labels, matchesSelector } from "../registry/selector.ts";

export const defaultPoolName = "default";

/** Length of the blocks that a pool is cut into where nobody says: 64 addresses of either family. */
export const defaultBlockLength: Readonly<Record<IpFamily, number>> = { IPv4: 26, IPv6: 122 };

export interface Pool {
  readonly name: string;
  readonly cidr: Cidr;
  readonly blockPrefixLength: number;
  /** A block's addresses are all its node's; no node takes parts of another's. */
  readonly strictAffinity: boolean;
  /** Gives no more addresses; those that are in use stay. */
  readonly disabled: boolean;
  /** Packets that leave the pods' ranges get the node's address. */
  readonly masquerade: boolean;
}

/** The default one first, the others by name, as objects are. */
export function poolsOf(network: Network, others: readonly AddressPool[]): readonly Pool[] {
  return [defaultPool(network), ...others.map(poolOf)];
}

function defaultPool({ spec }: Network): Pool {
  return {
    name: defaultPoolName,
    cidr: parseCidr(spec.podCidr),
    blockPrefixLength: spec.blockPrefixLength,
    strictAffinity: false,
    disabled: false,
    masquerade: true,
  };
}

function poolOf({ metadata, spec }: AddressPool): Pool {
  const cidr = parseCidr(spec.cidr);
  return {
    name: metadata.name,
    cidr,
    blockPrefixLength: blockLengthOf(spec),
    strictAffinity: spec.strictAffinity ?? false,
    disabled: spec.disabled ?? false,
    masquerade: spec.masquerade ?? true,
  };
}

export function blockLengthOf(spec: AddressPool["spec"]): number {
  const { address, prefixLength } = parseCidr(spec.cidr);
  return spec.blockPrefixLength ?? Math.max(defaultBlockLength[familyOf(address)], prefixLength);
}

/** Names of the pools that a pod on such a node, in such a namespace, gets its addresses from; the primary's first. */
export function poolsFor(
  others: readonly AddressPool[],
  defaultFamily: IpFamily,
  node: Labels,
  namespace: Labels,
): readonly string[] {
  const candidates = others
    .filter(
      ({ spec }) =>
        matchesSelector(node, spec.nodeSelector ?? {}) &&
        matchesSelector(namespace, spec.namespaceSelector ?? {}),
    )
    .map(({ metadata, spec }) => ({
      name: metadata.name,
      family: familyOf(spec.cidr),
      rank: [spec.nodeSelector, spec.namespaceSelector].filter((each) => each !== undefined).length,
    }));
  const all = [{ name: defaultPoolName, family: defaultFamily, rank: 0 }, ...candidates];
  const families = [defaultFamily, ...ipFamilies.filter((family) => family !== defaultFamily)];
  return families.flatMap((family) => {
    const own = all.filter((each) => each.family === family);
    const best = Math.max(...own.map(({ rank }) => rank));
    return own.filter(({ rank }) => rank === best).map(({ name }) => name);
  });
}

/** The block of the pool that an address is in. */
export function blockCidrIn(pool: Pool, address: string): Cidr {
  return parseCidr(`${address}/${pool.blockPrefixLength}`);
}
