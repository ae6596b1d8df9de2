/**
 * Lowers the host ports of this node's pods to two maps for each family: protocol and port to pod and port, and the
 * same with one of the node's addresses in front, which is asked first.
 *
 * A host port more is an element, never a chain or rule. Both ways to a node's port lead here: packets that arrive
 * (prerouting), also those of pods, and what the node itself sends, also to 127.0.0.1 (output). They run after the
 * Services' chains, so an address that a Service has is the Service's. The addresses of the pods' name server are left
 * out.
 *
 * Not here: the way back for what comes from 127.0.0.1 (`postrouting` in node-ruleset.ts), and who may have a port
 * (agent/cni-server): two pods that ask for one are a diagnostic here, and the first keeps it.
 */

import type { Diagnostic } from "../../base/compiled.ts";
import { familyOf, type IpFamily } from "../../base/ip.ts";
import { nameServers } from "../../model/names.ts";
import type { NftChain, NftMap } from "../../model/node-state.ts";
import { type Attachment, type HostPort, isAnyAddress } from "../../model/node-view.ts";
import { type NftFamily, nftFamilies } from "./families.ts";

export interface HostPortMaps {
  readonly maps: readonly NftMap[];
  /** The same whatever ports there are. */
  readonly chains: readonly NftChain[];
  readonly diagnostics: readonly Diagnostic[];
}

export function hostPortMaps(attachments: readonly Attachment[]): HostPortMaps {
  const tables = nftFamilies.map((nft) => ({
    nft,
    family: nft.family,
    everywhere: new Map<string, string>(),
    bound: new Map<string, string>(),
  }));
  const owners = new Map<string, Attachment>();
  const diagnostics: Diagnostic[] = [];
  for (const attachment of [...attachments].sort(byLink)) {
    for (const port of attachment.hostPorts ?? []) {
      for (const { family, everywhere, bound } of tables) {
        const address = attachment.addresses.find((each) => familyOf(each) === family);
        if (address === undefined || !isOf(family, port)) continue;
        const short = `${port.protocol.toLowerCase()} . ${port.hostPort}`;
        const isBound = port.hostAddress !== undefined && !isAnyAddress(port.hostAddress);
        const key = isBound ? `${port.hostAddress} . ${short}` : short;
        const owner = owners.get(`${family} ${key}`);
        if (owner !== undefined) {
          diagnostics.push(collision(attachment, owner, key));
          continue;
        }
        owners.set(`${family} ${key}`, attachment);
        (isBound ? bound : everywhere).set(key, `${address} . ${port.containerPort}`);
      }
    }
  }
  return {
    maps: tables.flatMap(({ nft: { family, addressType }, everywhere, bound }): NftMap[] => {
      const target = `${addressType} . inet_service`;
      return [
        {
          name: everywhereMap(family),
          type: `type inet_proto . inet_service : ${target}`,
          elements: everywhere,
        },
        {
          name: boundMap(family),
          type: `type ${addressType} . inet_proto . inet_service : ${target}`,
          elements: bound,
        },
      ];
    }),
    chains,
    diagnostics,
  };
}

function everywhereMap(family: IpFamily): string {
  return `host-ports-${family.toLowerCase()}`;
}

function boundMap(family: IpFamily): string {
  return `bound-host-ports-${family.toLowerCase()}`;
}

/** A port without address is one of both families. */
function isOf(family: IpFamily, { hostAddress }: HostPort): boolean {
  return hostAddress === undefined || familyOf(hostAddress) === family;
}

/** Bound port first: it is the more particular one. */
function translation({ family, keyword: ip }: NftFamily): readonly string[] {
  return [
    `dnat ${ip} to ${ip} daddr . meta l4proto . th dport map @${boundMap(family)}`,
    `meta nfproto ${family.toLowerCase()} dnat ${ip} to meta l4proto . th dport map @${everywhereMap(family)}`,
  ];
}

const chains: readonly NftChain[] = [
  {
    name: "host-ports-prerouting",
    hook: "type nat hook prerouting priority dstnat + 5; policy accept;",
    rules: ["fib daddr type local goto host-ports"],
  },
  {
    name: "host-ports-output",
    hook: "type nat hook output priority -95; policy accept;",
    rules: ["fib daddr type local goto host-ports"],
  },
  {
    name: "host-ports",
    rules: [
      ...nftFamilies.map(({ family, keyword }) => `${keyword} daddr ${nameServers[family]} return`),
      ...nftFamilies.flatMap(translation),
    ],
  },
];

function byLink(a: Attachment, b: Attachment): number {
  return a.hostLink < b.hostLink ? -1 : 1;
}

function collision(attachment: Attachment, owner: Attachment, key: string): Diagnostic {
  return {
    severity: "error",
    code: "HEDDLE0310",
    where: `Pod ${attachment.namespace}/${attachment.name}`,
    message: `host port ${key} belongs to pod ${owner.namespace}/${owner.name}, which keeps it`,
  };
}
