/** Planted inconsistencies: each is found, named, and nothing else is. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressBlock } from "../../api/heddle/v1.ts";
import type { Node, Pod } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { worldOf } from "../registry/world.ts";
import { checkAddresses, type NodeRecords, renderFinding } from "./check.ts";

const node = (name: string): Node => ({ apiVersion: "v1", kind: "Node", metadata: { name } });

const block = (name: string, of: string): AddressBlock => ({
  apiVersion: "heddle.dev/v1",
  kind: "AddressBlock",
  metadata: { name: `${name}-26` },
  spec: { cidr: `${name}/26`, node: of, claims: [{ cidr: `${name}/27`, node: of }] },
});

const pod = (name: string, on: string, ...addresses: readonly string[]): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "shop", uid: `uid-${name}` },
  spec: { nodeName: on, containers: [] },
  status: {
    phase: "Running",
    ...(addresses[0] === undefined
      ? {}
      : { podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) }),
  },
});

const record = (name: string, ...addresses: readonly string[]) => ({
  link: `hd-${name}`,
  pod: `shop/${name}`,
  uid: `uid-${name}`,
  addresses,
});

const objects: readonly Resource[] = [
  node("one"),
  node("two"),
  block("10.244.0.0", "one"),
  block("10.244.0.64", "two"),
  pod("web", "one", "10.244.0.1"),
  pod("cart", "two", "10.244.0.65"),
  pod("starting", "two"),
  pod("elsewhere", "one", "192.0.2.7"),
];

const records: readonly NodeRecords[] = [
  { node: "one", attachments: [record("web", "10.244.0.1")] },
  { node: "two", attachments: [record("cart", "10.244.0.65")] },
];

function found(more: readonly Resource[], at: readonly NodeRecords[] = records): readonly string[] {
  return checkAddresses(worldOf([...objects, ...more]), at).map(renderFinding);
}

describe("the address check", () => {
  test("finds nothing where all agree, nor with a node's agent that does not answer", () => {
    assert.deepEqual(found([]), []);
    assert.deepEqual(found([], records.slice(1)), []);
  });

  test("finds the record of a pod that is gone, and of one whose name another has by now", () => {
    const one = { ...records[0], node: "one", attachments: [record("gone", "10.244.0.2")] };
    assert.deepEqual(found([pod("web", "one")], [one]), [
      "leaked record: one keeps 10.244.0.2 (link hd-gone) for pod shop/gone, which is gone",
    ]);
    const later = { ...record("web", "10.244.0.1"), uid: "uid-before" };
    assert.match(found([pod("web", "one")], [{ node: "one", attachments: [later] }]).join(), /web/);
  });

  test("finds a Pod that shows what its node has not given it, also when the node is gone", () => {
    assert.deepEqual(found([pod("starting", "two", "10.244.0.70")]), [
      "leaked Pod address: Pod shop/starting shows 10.244.0.70, which its node has not given it",
    ]);
    assert.deepEqual(found([pod("old", "three", "10.244.0.200")]), [
      "leaked Pod address: Pod shop/old shows 10.244.0.200, which its node has not given it",
    ]);
  });

  test("finds what a node that is gone still holds", () => {
    assert.deepEqual(found([block("10.244.0.128", "three")]), [
      "block of a node that is gone: three holds parts of AddressBlock 10.244.0.128-26",
    ]);
  });

  test("finds two pods with one address, and which of them may keep it", () => {
    const two = { node: "two", attachments: [...(records[1]?.attachments ?? [])] };
    two.attachments.push(record("starting", "10.244.0.1"));
    const at = records.map((each) => (each.node === "two" ? two : each));
    assert.deepEqual(found([pod("starting", "two", "10.244.0.1")], at), [
      "double use: 10.244.0.1 belongs to pod shop/web, and pod shop/starting on two has it, too",
    ]);
  });
});
