/**
 * The rules that take a connection from a Service's address to an endpoint. They are the same whatever Services there
 * are, but for one chain for each distinct number of slots and protocol, which says among how many to choose.
 *
 *   services          address and port → mark (group and flags); else a node's address and port; else what no Service
 *                     has: refused at a cluster address, dropped in the rest of the Services' range
 *   service           the flags, in order: who may ask, how from outside; else as from inside
 *   external-*        from outside: any endpoint behind a node's address, or the node's own with the client's address
 *   choose            the group → how to choose among its slots
 *   …-spread-N        one of N slots at random
 *   …-maglev-N        the slot that the client's address and port hash to; `…-maglev-client-N`: its address alone
 *   sticky-N-S        the endpoint of last time, for S seconds since; else as spread
 *
 * Addresses that refuse are a map and not a set, and groups lead to marks and not to chains, so that all that churns is
 * plain data: of verdicts the kernel checks every one again when one changes.
 *
 * All are of type nat, so only a connection's first packet comes here: what it costs is look-ups, never a walk. A
 * refusal is decided here as well, before the connection is tracked, so a Service that gets an endpoint later is asked
 * afresh.
 */

import type { Cidr } from "../../../base/ip.ts";
import { familyOf, renderCidr } from "../../../base/ip.ts";
import { linkPrefix, serviceLabels } from "../../../model/names.ts";
import type { NftChain } from "../../../model/node-state.ts";
import { type NftFamily, nftFamilies } from "../families.ts";
import { logAndDrop } from "../names.ts";
import { dropFlags, flags, hasFlag, localBit, noteMasquerade, noteService } from "./marks.ts";

export interface ServiceRanges {
  /** Of pods: whoever has another address comes from outside. */
  readonly pods: readonly Cidr[];
  readonly services: readonly Cidr[];
  readonly masqueradeAll: boolean;
}

/** What never changes while the address plan does not. */
export function serviceChains(ranges: ServiceRanges): readonly NftChain[] {
  return [
    {
      name: "services-prerouting",
      hook: "type nat hook prerouting priority dstnat; policy accept;",
      rules: ["jump services"],
    },
    {
      name: "services-output",
      hook: "type nat hook output priority -100; policy accept;",
      rules: ["jump services"],
    },
    ...settled,
    { name: "services", rules: nftFamilies.flatMap((family) => addressRules(family, ranges)) },
    {
      name: "service",
      rules: [
        noteService,
        `${hasFlag(flags.sourceRanges)} jump source-ranges`,
        `${hasFlag(flags.externalLocal)} goto external-local`,
        `${hasFlag(flags.externalCluster)} goto external-cluster`,
        ...fromInside(ranges),
        "goto choose",
      ],
    },
    { name: "external-cluster", rules: [noteMasquerade, dropFlags, "goto choose"] },
    {
      name: "external-local",
      rules: [
        dropFlags,
        ...ranges.pods.map((cidr) => `${from(cidr)} goto choose`),
        `fib saddr type local ${noteMasquerade} goto choose`,
        `meta mark set meta mark | ${localBit}`,
        "goto choose",
      ],
    },
    { name: "choose", rules: ["ct mark set meta mark map @groups", "ct mark vmap @choices"] },
    {
      name: "source-ranges",
      rules: [
        ...nftFamilies.map(
          ({ keyword, suffix }) =>
            `${keyword} daddr . meta l4proto . th dport . ${keyword} saddr vmap @source-ranges${suffix}`,
        ),
        logAndDrop({ kind: "admission", reason: "source-range" }),
      ],
    },
    {
      name: "no-local-endpoint",
      rules: [logAndDrop({ kind: "admission", reason: "no-local-endpoint" })],
    },
    { name: "refuse", rules: ["meta l4proto tcp reject with tcp reset", "reject"] },
  ];
}

/**
 * In the postrouting chain: the node's address in place of the client's. A pod's link has no address of its own, and
 * the kernel would take any; pods and their logs are to see the node's.
 */
export function masqueradeRules(nodeAddresses: readonly string[]): readonly string[] {
  const asked = `ct label ${serviceLabels.masquerade}`;
  return [
    ...nftFamilies.flatMap(({ family, keyword }) => {
      const address = nodeAddresses.find((each) => familyOf(each) === family);
      if (address === undefined) return [];
      return [`${asked} oifname "${linkPrefix}*" snat ${keyword} to ${address} fully-random`];
    }),
    `${asked} masquerade fully-random`,
  ];
}

/** The decision's marks are off before routing and policy look. */
const settled: readonly NftChain[] = [
  { name: "services-settled-prerouting", hook: "prerouting priority dstnat + 1" },
  { name: "services-settled-output", hook: "output priority -99" },
].map(({ name, hook }) => ({
  name,
  hook: `type filter hook ${hook}; policy accept;`,
  rules: [`ct state new ct label ${serviceLabels.asked} meta mark set 0x0 ct mark set 0x0`],
}));

function addressRules(
  { family, keyword, suffix }: NftFamily,
  { services }: ServiceRanges,
): readonly string[] {
  const port = "meta l4proto . th dport";
  return [
    `meta mark set ${keyword} daddr . ${port} map @services${suffix} goto service`,
    `${keyword} daddr @node-addresses${suffix} fib daddr type local meta mark set ${port} map @node-ports${suffix} goto service`,
    `meta mark set ${keyword} daddr map @cluster-addresses${suffix} goto refuse`,
    ...services
      .filter(({ address }) => familyOf(address) === family)
      .map(
        (cidr) =>
          `${keyword} daddr ${renderCidr(cidr)} ${logAndDrop({ kind: "admission", reason: "no-service" })}`,
      ),
  ];
}

/** A client that is no pod could not be answered by one directly: the way back must lead through here. */
function fromInside({ pods, masqueradeAll }: ServiceRanges): readonly string[] {
  if (masqueradeAll) return [noteMasquerade];
  if (pods.length === 0) return []; // nothing to tell pods by
  return nftFamilies.map(({ family, keyword }) => {
    const own = pods.filter(({ address }) => familyOf(address) === family).map(renderCidr);
    const outside =
      own.length === 0
        ? `meta nfproto ${nfproto[family]}`
        : `${keyword} saddr != { ${own.join(", ")} }`;
    return `${outside} ${noteMasquerade}`;
  });
}

const nfproto = { IPv4: "ipv4", IPv6: "ipv6" } as const;

function from(cidr: Cidr): string {
  return `${familyOf(cidr.address) === "IPv4" ? "ip" : "ip6"} saddr ${renderCidr(cidr)}`;
}
