import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { type NamedView, nameTable } from "../../core/dns/name-table.ts";
import type { ServiceView, WorkloadView } from "../../model/node-view.ts";
import { namesUpdate, updated } from "./names-update.ts";

const name = fc.constantFrom("a", "b", "c");
const address = fc.integer({ min: 1, max: 9 }).map((n) => `10.0.0.${n}`);
const endpoint = fc.record({ address, port: fc.constant(80) });
const service = fc
  .record({
    name,
    clusterIp: fc.option(address, { nil: undefined }),
    endpoints: fc.array(endpoint, { maxLength: 2 }),
  })
  .map(({ name, clusterIp, endpoints }): ServiceView => {
    const ports = [{ name: "http", protocol: "TCP" as const, port: 80, endpoints }];
    return { namespace: "n", name, ports, ...(clusterIp === undefined ? {} : { clusterIp }) };
  });
const workload = fc.record({ name, address, label: name }).map(
  ({ name, address, label }): WorkloadView => ({
    namespace: "n",
    name,
    uid: name,
    node: "node-1",
    addresses: [address],
    identity: 1,
    serviceAccount: "default",
    labels: { label },
    meshed: false,
  }),
);
const by = { selector: ({ name }: { readonly name: string }) => name };
const externalHost = fc.record({ name, address }).map(({ name, address }) => ({
  namespace: "n",
  name,
  created: "",
  hosts: [{ host: `${name}.example`, addresses: [address] }],
}));
const view: fc.Arbitrary<NamedView> = fc.record({
  externalHosts: fc.uniqueArray(externalHost, by),
  services: fc.uniqueArray(service, by),
  workloads: fc.uniqueArray(workload, by),
});

const names = (of: NamedView) => {
  const { names: records, externalHosts } = nameTable(of);
  const texts = (values: readonly unknown[]) => values.map((one) => JSON.stringify(one)).sort();
  return [...records, ...externalHosts].map(([key, values]) => [key, texts(values)]);
};

describe("an update of names", () => {
  test("leads from any view to the names of any other", () => {
    fc.assert(
      fc.property(fc.array(view, { minLength: 1, maxLength: 6 }), (views) => {
        let told: NamedView | undefined;
        let known: { readonly version: number; readonly view: NamedView } | undefined;
        for (const next of views) {
          const update = namesUpdate(told, next, known?.version ?? 0);
          told = next;
          if (update === undefined) continue;
          const after = updated(known, update);
          assert.ok(after !== undefined);
          known = { version: update.version, view: after };
          assert.deepEqual(names(after).sort(), names(next).sort());
        }
      }),
    );
  });

  test("says nothing of endpoints behind a virtual address, nor of labels", () => {
    const [pod] = fc.sample(workload, { numRuns: 1, seed: 1 });
    assert.ok(pod !== undefined);
    const behind = (endpoints: ServiceView["ports"][number]["endpoints"]): ServiceView => ({
      namespace: "n",
      name: "a",
      clusterIp: "10.0.0.1",
      ports: [{ name: "http", protocol: "TCP", port: 80, endpoints }],
    });
    const before = { services: [behind([])], workloads: [pod] };
    const after = {
      services: [behind([{ address: "10.0.0.2", port: 80 }])],
      workloads: [{ ...pod, labels: { other: "label" }, identity: 7 }],
    };
    assert.equal(namesUpdate(before, after, 1), undefined);
  });

  test("that starts from other names is not taken", () => {
    const empty = { services: [], workloads: [] };
    const later = { ...(namesUpdate(undefined, empty, 4) ?? assert.fail()), since: 4 };
    assert.equal(updated({ version: 3, view: empty }, later), undefined);
    assert.equal(updated(undefined, later), undefined);
  });
});
