/**
 * Nodes that share an address plan, through random histories: whatever comes in whatever order, no address has two
 * owners, each is held by the node that gives it, and when all pods are gone every address can be given again.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../test/property.ts";
import type { AddressBlock, AddressPool, AddressReservation } from "../api/heddle/v1.ts";
import type { MeshError } from "../base/error.ts";
import { cidrContains, parseCidr } from "../base/ip.ts";
import { claimedBy } from "../core/ipam/claims.ts";
import { Cluster, network } from "./fake/cluster.ts";

const operation = fc.record({
  node: fc.constantFrom("a", "b", "c"),
  what: fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("lease" as const), n: fc.nat(40) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("release" as const), n: fc.nat(60) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("fixed" as const), n: fc.nat(127) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("tend" as const), n: fc.nat(90) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const), n: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("reboot" as const), n: fc.nat(1) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("leave" as const), n: fc.nat(1) }) },
  ),
});

const ending = new Set(["crash", "reboot", "leave"]);

async function act(cluster: Cluster, { node: name, what }: Operation): Promise<void> {
  const node = await cluster.member(name);
  switch (what.kind) {
    case "lease":
      await Promise.all(Array.from({ length: what.n }, () => node.lease()));
      break;
    case "release":
      for (let i = 0; i < what.n; i++) node.release(i * 7);
      break;
    case "fixed":
      await node.lease({ addresses: [`10.0.0.${what.n}`] });
      break;
    case "tend":
      cluster.nowMs += what.n * 1_000;
      await node.ipam.tend();
      break;
    case "crash": {
      const leases = Array.from({ length: what.n }, () => node.lease());
      await node.start();
      await Promise.all(leases);
      break;
    }
    case "reboot":
      await node.reboot();
      break;
    case "leave":
      await cluster.leave(name);
      break;
  }
}

type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

describe("address plans of several nodes", () => {
  test("give no address twice and lose none, whatever happens", async () => {
    const reservation: AddressReservation = {
      apiVersion: "heddle.dev/v1",
      kind: "AddressReservation",
      metadata: { name: "printers" },
      spec: { cidrs: ["10.0.0.0/30", "10.0.0.77/32"] },
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(operation, { maxLength: 3 }), { maxLength: 25 }),
        async (steps) => {
          using cluster = new Cluster();
          await cluster.put(network, reservation);
          for (const step of steps) {
            // All at the same time, but for what ends a node's agent: that comes after.
            await Promise.all(
              step.filter(({ what }) => !ending.has(what.kind)).map((each) => act(cluster, each)),
            );
            for (const each of step) if (ending.has(each.what.kind)) await act(cluster, each);
            cluster.check();
          }
          for (const name of ["b", "c"]) if (cluster.nodes.has(name)) await cluster.leave(name);
          const last = cluster.nodes.get("a") ?? (await cluster.join("a"));
          while (last.records.size > 0) last.release(0);
          cluster.nowMs += 60_000;
          await last.ipam.tend();
          for (let i = 0; i < 123; i++) assert.ok(await last.lease(), `address ${i} was lost`);
          assert.equal(await last.lease(), undefined);
          cluster.check();
        },
      ),
      { seed: 11, numRuns: 25 },
    );
  });
});

describe("an address", () => {
  test("is not given again while a connection of it is tracked, not even as the last one", async () => {
    using cluster = new Cluster();
    await cluster.put({ ...network, spec: { ...network.spec, podCidr: "10.0.0.0/27" } });
    const node = await cluster.member("a");
    const all = await Promise.all(Array.from({ length: 32 }, () => node.lease()));
    const [first] = all[0] ?? [];
    assert.ok(first !== undefined);
    node.connections.add(first);
    node.records.delete(first);
    node.ipam.release([first]);
    await assert.rejects(node.ipam.lease(), (error: MeshError) => {
      assert.equal(error.code, "ipam.pool.exhausted");
      assert.match(error.message, /1 wait for their connections to end/);
      return true;
    });
    cluster.nowMs += 60_000;
    await node.ipam.tend();
    assert.equal(await node.lease(), undefined);
    node.connections.clear();
    await node.ipam.tend();
    assert.deepEqual(await node.lease(), [first]);
  });

  test("that is asked for by name moves with its pod to another node", async () => {
    using cluster = new Cluster();
    await cluster.put(network);
    const [a, b] = [await cluster.member("a"), await cluster.member("b")];
    await a.ipam.lease({ addresses: ["10.0.0.127"] });
    await assert.rejects(b.ipam.lease({ addresses: ["10.0.0.127"] }), {
      code: "ipam.address.held",
    });
    a.ipam.release(["10.0.0.127"]);
    await until(() => cluster.blocks().every((block) => !held(block, "a", "10.0.0.127")));
    assert.deepEqual(await b.ipam.lease({ addresses: ["10.0.0.127"] }), ["10.0.0.127"]);
    await assert.rejects(b.ipam.lease({ addresses: ["10.0.0.127"] }), {
      code: "ipam.address.in-use",
    });
    await assert.rejects(b.ipam.lease({ addresses: ["10.0.1.1"] }), {
      code: "ipam.address.outside",
    });
  });

  test("that is reserved goes to nobody who does not ask for it, also when it is reserved late", async () => {
    using cluster = new Cluster();
    await cluster.put(network);
    const a = await cluster.member("a");
    const [free = ""] = (await a.lease()) ?? [];
    a.release(0);
    await cluster.put({
      apiVersion: "heddle.dev/v1",
      kind: "AddressReservation",
      metadata: { name: "late" },
      spec: { cidrs: [`${free}/32`] },
    });
    cluster.nowMs += 60_000;
    await a.ipam.tend();
    await a.ipam.tend();
    const b = await cluster.member("b");
    assert.deepEqual(await b.ipam.lease({ addresses: [free] }), [free]);
    for (let i = 0; i < 60; i++) assert.ok(!(await a.lease())?.includes(free));
  });
});

describe("pools", () => {
  const six: AddressPool = {
    apiVersion: "heddle.dev/v1",
    kind: "AddressPool",
    metadata: { name: "six" },
    spec: { cidr: "fd00::/120", blockPrefixLength: 126, strictAffinity: true },
  };

  test("of both families give a pod an address of each, or none", async () => {
    using cluster = new Cluster();
    await cluster.put(network, { ...six, spec: { ...six.spec, cidr: "fd00::/126" } });
    const a = await cluster.join("a");
    const request = { pools: ["default", "six"] };
    for (let i = 0; i < 4; i++) {
      const [four = "", second = ""] = (await a.lease(request)) ?? [];
      assert.ok(cidrContains(parseCidr("10.0.0.0/25"), four));
      assert.ok(cidrContains(parseCidr("fd00::/126"), second));
    }
    assert.equal(a.ipam.inUse, 8);
    await assert.rejects(a.ipam.lease(request), { code: "ipam.pool.exhausted" });
    assert.equal(a.ipam.inUse, 8);
  });

  test("that nobody made are told to whoever asks for them", async () => {
    using cluster = new Cluster();
    await cluster.put(network);
    const a = await cluster.join("a");
    await assert.rejects(
      a.ipam.lease({ pools: ["other"] }),
      /no address pool "other"; want one of default/,
    );
  });

  test("lend what an owner has not claimed, and do not with strict affinity", async () => {
    using cluster = new Cluster();
    const small = { ...network, spec: { ...network.spec, podCidr: "10.0.0.0/27" } };
    await cluster.put(small, { ...six, spec: { ...six.spec, cidr: "fd00::/126" } });
    const [a, b] = [await cluster.join("a"), await cluster.join("b")];
    assert.ok(await a.lease({ pools: ["six"] }));
    assert.equal(await b.lease({ pools: ["six"] }), undefined);
    for (let i = 0; i < 16; i++) assert.ok(await b.lease(), "borrowed");
    assert.equal(await b.lease(), undefined);
    for (let i = 0; i < 16; i++) assert.ok(await a.lease(), "its own");
    cluster.check();
  });
});

function held(block: AddressBlock, node: string, address: string): boolean {
  return claimedBy(block, node).some((part) => cidrContains(part, address));
}

async function until(probe: () => boolean): Promise<void> {
  for (let i = 0; i < 1_000 && !probe(); i++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(probe());
}
