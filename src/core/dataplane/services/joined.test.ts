import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../../test/property.ts";
import type { ServiceView } from "../../../model/node-view.ts";
import { ServiceJoiner } from "./joined.ts";

const place = { node: "one", addresses: ["192.0.2.1"] };

/** Few addresses and node ports, so that Services often claim what another has. */
const service = fc
  .record({
    name: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    address: fc.integer({ min: 1, max: 40 }),
    nodePort: fc.option(fc.integer({ min: 30_000, max: 30_020 }), { nil: undefined }),
    endpoints: fc.integer({ min: 0, max: 3 }),
    sticky: fc.boolean(),
  })
  .map(
    ({ name, address, nodePort, endpoints, sticky }): ServiceView => ({
      namespace: "shop",
      name,
      clusterIp: `10.96.0.${address}`,
      ...(sticky ? { affinitySeconds: 60 } : {}),
      ports: [
        {
          name: "",
          protocol: "TCP",
          port: 80,
          ...(nodePort === undefined ? {} : { nodePort }),
          endpoints: Array.from({ length: endpoints }, (_, index) => ({
            address: `10.244.0.${index + 1}`,
            port: 8080,
          })),
        },
      ],
    }),
  );

describe("Services that are joined one list after the other", () => {
  test("are what they would be at once, whatever came before", () => {
    const step = fc.record({ put: service, gone: fc.constantFrom("a", "b", "c", "d", "e", "f") });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const joiner = new ServiceJoiner();
        const all = new Map<string, ServiceView>();
        for (const { put, gone } of steps) {
          all.delete(gone);
          all.set(put.name, put);
          const services = [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
          const joined = joiner.join(services, place);
          const fresh = new ServiceJoiner().join(services, place);
          assert.deepEqual(
            { ...joined, choices: new Map([...joined.choices].sort()) },
            { ...fresh, choices: new Map([...fresh.choices].sort()) },
          );
        }
      }),
      { seed: 5, numRuns: 300 },
    );
  });

  test("share the parts of those that stay", () => {
    const joiner = new ServiceJoiner();
    const services = fc.sample(service, { seed: 3, numRuns: 1 });
    const [one] = services;
    assert.ok(one !== undefined);
    const other = { ...one, name: "z", clusterIp: "10.96.1.1", ports: [] };
    const before = joiner.join([one], place);
    const after = joiner.join([one, other], place);
    assert.equal(after.parts[0], before.parts[0]);
  });
});
