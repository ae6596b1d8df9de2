/** The names of the cluster: Kubernetes' DNS specification 1.1, question by question. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NodeView, ServiceView } from "../../model/node-view.ts";
import { viewFor } from "../registry/view.ts";
import { emptyWorld } from "../registry/world.ts";
import { lookup, nameTable } from "./name-table.ts";

const services: readonly ServiceView[] = [
  {
    namespace: "shop",
    name: "web",
    clusterIp: "10.96.0.10",
    ports: [
      { name: "http", protocol: "TCP", port: 80, endpoints: [] },
      { name: "", protocol: "TCP", port: 81, endpoints: [] },
    ],
  },
  {
    namespace: "shop",
    name: "db",
    ports: [
      {
        name: "sql",
        protocol: "TCP",
        port: 5432,
        endpoints: [
          { address: "10.244.0.1", port: 5432, hostname: "db-0" },
          { address: "10.244.0.2", port: 5432 },
        ],
      },
    ],
  },
  {
    namespace: "shop",
    name: "both",
    clusterIp: "10.96.0.12",
    clusterIps: ["10.96.0.12", "fd00:96::12"],
    ports: [],
  },
  { namespace: "shop", name: "empty", ports: [] },
  { namespace: "shop", name: "mail", externalName: "Mail.Example.org.", ports: [] },
];

const view: NodeView = {
  ...viewFor(emptyWorld(), "one"),
  services,
  workloads: [
    {
      namespace: "shop",
      name: "web-1",
      uid: "1",
      node: "one",
      addresses: ["10.244.0.9"],
      identity: 1,
      serviceAccount: "default",
      labels: {},
      meshed: true,
    },
    ...["10.244.0.3", "10.244.0.4"].map((address, index) => ({
      namespace: "shop",
      name: `cache-${index}`,
      uid: `${index + 2}`,
      node: "one",
      addresses: [address],
      identity: 1,
      serviceAccount: "default",
      labels: {},
      meshed: false,
      aliases: ["cache", "web"],
    })),
  ],
};

/** What is answered, as text: records, or how there is none. */
function ask(name: string, type = "A"): readonly string[] {
  const result = lookup(nameTable(view), name, type);
  if (result.kind !== "found") return [result.kind];
  return result.records.map((record) => {
    switch (record.type) {
      case "A":
      case "AAAA":
        return record.address;
      case "SRV":
        return `${record.priority} ${record.weight} ${record.port} ${record.target}`;
      default:
        return `${record.type} ${record.target}`;
    }
  });
}

describe("the cluster's names", () => {
  const table: readonly (readonly [string, string, readonly string[]])[] = [
    ["web.shop.svc.cluster.local", "A", ["10.96.0.10"]],
    ["WEB.shop.svc.cluster.local.", "A", ["10.96.0.10"]],
    ["web.shop.svc.cluster.local", "AAAA", ["no-data"]],
    ["_http._tcp.web.shop.svc.cluster.local", "SRV", ["0 100 80 web.shop.svc.cluster.local"]],
    ["10.0.96.10.in-addr.arpa", "PTR", ["PTR web.shop.svc.cluster.local"]],
    ["10.0.96.10.in-addr.arpa", "A", ["no-data"]],
    ["11.0.96.10.in-addr.arpa", "PTR", ["elsewhere"]],
    ["db.shop.svc.cluster.local", "A", ["10.244.0.1", "10.244.0.2"]],
    ["db-0.db.shop.svc.cluster.local", "A", ["10.244.0.1"]],
    ["10-244-0-2.db.shop.svc.cluster.local", "A", ["10.244.0.2"]],
    [
      "_sql._tcp.db.shop.svc.cluster.local",
      "SRV",
      [
        "0 100 5432 db-0.db.shop.svc.cluster.local",
        "0 100 5432 10-244-0-2.db.shop.svc.cluster.local",
      ],
    ],
    ["1.0.244.10.in-addr.arpa", "PTR", ["PTR db-0.db.shop.svc.cluster.local"]],
    ["empty.shop.svc.cluster.local", "A", ["no-data"]],
    ["mail.shop.svc.cluster.local", "A", ["CNAME mail.example.org"]],
    ["mail.shop.svc.cluster.local", "SRV", ["CNAME mail.example.org"]],
    ["10-244-0-9.shop.pod.cluster.local", "A", ["10.244.0.9"]],
    ["10-244-0-8.shop.pod.cluster.local", "A", ["no-name"]],
    ["both.shop.svc.cluster.local", "A", ["10.96.0.12"]],
    ["both.shop.svc.cluster.local", "AAAA", ["fd00:96::12"]],
    ["cache.shop.svc.cluster.local", "A", ["10.244.0.3", "10.244.0.4"]],
    ["cache.other.svc.cluster.local", "A", ["no-name"]],
    ["absent.shop.svc.cluster.local", "A", ["no-name"]],
    ["shop.svc.cluster.local", "A", ["no-data"]],
    ["svc.cluster.local", "A", ["no-data"]],
    ["_tcp.web.shop.svc.cluster.local", "A", ["no-data"]],
    ["cluster.local", "A", ["no-data"]],
    ["example.org", "A", ["elsewhere"]],
    ["notcluster.local", "A", ["elsewhere"]],
  ];
  for (const [name, type, expected] of table) {
    test(`answer ${type} ${name} with ${expected.join(", ")}`, () => {
      assert.deepEqual(ask(name, type), expected);
    });
  }

  test("of ServiceEntries lead whom they are shown to, and who has a sidecar, to their addresses", () => {
    const entry = (
      namespace: string,
      host: string,
      address: string,
      exportTo?: readonly string[],
    ) => {
      const shown = exportTo === undefined ? {} : { exportTo };
      const hosts = [{ host, addresses: address === "" ? [] : [address] }];
      return { namespace, name: `${namespace}-${host}`, created: "", hosts, ...shown };
    };
    const table = nameTable({
      ...view,
      externalHosts: [
        entry("a", "db.example", "240.240.0.1"),
        entry("shop", "db.example", "240.240.0.2", ["."]),
        entry("a", "*.wild.example", "240.240.0.3"),
        entry("a", "web.shop.svc.cluster.local", "240.240.0.4"),
        entry("a", "new.shop.svc.cluster.local", "240.240.0.5"),
        entry("a", "old.example", "240.240.0.6"),
        { ...entry("b", "old.example", ""), created: "2026-01-01T00:00:00Z" },
        { ...entry("c", "old.example", "240.240.0.7"), created: "2026-01-02T00:00:00Z" },
      ],
    });
    const answers = (name: string, viewer?: string, type = "A"): string => {
      const result = lookup(table, name, type, viewer);
      if (result.kind !== "found") return result.kind;
      return result.records.map((one) => ("address" in one ? one.address : one.target)).join();
    };
    assert.equal(answers("DB.example.", "other"), "240.240.0.1");
    assert.equal(answers("db.example", "shop"), "240.240.0.2");
    assert.equal(answers("db.example"), "elsewhere"); // no sidecar would understand the address
    assert.equal(answers("db.example", "shop", "AAAA"), "no-data");
    assert.equal(answers("old.example", "c"), "240.240.0.7");
    assert.equal(answers("old.example", "b"), "elsewhere"); // its own entry has no address
    assert.equal(answers("x.y.wild.example", "shop"), "240.240.0.3");
    assert.equal(answers("wild.example", "shop"), "elsewhere");
    assert.equal(answers("web.shop.svc.cluster.local", "shop"), "10.96.0.10");
    assert.equal(answers("new.shop.svc.cluster.local", "shop"), "240.240.0.5");
    assert.deepEqual(
      ["10.244.0.9", "10.244.0.3"].map((address) => table.meshed.get(address)),
      ["shop", undefined],
    );
  });

  test("are looked up in the same table while services and workloads are the same", () => {
    assert.equal(
      nameTable(view),
      nameTable({ services: view.services, workloads: view.workloads }),
    );
    assert.notEqual(nameTable(view), nameTable({ ...view, workloads: [] }));
  });
});
