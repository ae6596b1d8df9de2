/** Names of a small cluster, and what tests ask of them. */

import { parseCidr } from "../../../base/ip.ts";
import { type NameTable, nameTable } from "../../../core/dns/name-table.ts";
import type { NodeView } from "../../../model/node-view.ts";
import { type DnsMessage, type DnsRecord, standardQuery } from "../../../wire/dns/message.ts";

export const view: NodeView = {
  node: "node-1",
  settings: {
    podCidr: parseCidr("10.244.0.0/16"),
    blockPrefixLength: 26,
    pools: [],
    serviceCidrs: [parseCidr("10.96.0.0/16")],
    encap: { kind: "none" },
  },
  nodes: [],
  workloads: [],
  services: [
    {
      namespace: "shop",
      name: "cart",
      clusterIp: "10.96.0.7",
      ports: [{ name: "http", protocol: "TCP", port: 80, endpoints: [] }],
    },
    {
      namespace: "shop",
      name: "redis",
      ports: [
        {
          name: "tcp",
          protocol: "TCP",
          port: 6379,
          endpoints: [
            { address: "10.244.0.5", port: 6379, hostname: "redis-0" },
            { address: "10.244.0.6", port: 6379 },
          ],
        },
      ],
    },
    { namespace: "shop", name: "bank", externalName: "api.bank.example", ports: [] },
    { namespace: "shop", name: "alias", externalName: "cart.shop.svc.cluster.local", ports: [] },
    { namespace: "shop", name: "dangling", externalName: "no.shop.svc.cluster.local", ports: [] },
    {
      namespace: "shop",
      name: "ouroboros",
      externalName: "ouroboros.shop.svc.cluster.local",
      ports: [],
    },
  ],
  policies: [],
};
export const table: NameTable = nameTable(view);

export function query(name: string, type: number): DnsMessage {
  return standardQuery(7, { name, type, class: 1 });
}

/** Type and data. */
export function show(record: DnsRecord): string {
  switch (record.kind) {
    case "A":
      return `A ${record.address}`;
    case "SRV":
      return `SRV ${record.port} ${record.target}`;
    case "CNAME":
    case "PTR":
      return `${record.kind} ${record.target}`;
    default:
      return record.kind;
  }
}
