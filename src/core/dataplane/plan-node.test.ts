/** Plans: what comes first, what is left alone, what goes last. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseCidr } from "../../base/ip.ts";
import type { NodeState, Plan, VethSpec, VxlanSpec } from "../../model/node-state.ts";
import { fastPathFor } from "./fast-path.ts";
import { planNode } from "./plan-node.ts";

const nothing: NodeState = {
  sysctls: [],
  links: [],
  addresses: [],
  routes: [],
  neighbours: [],
  forwarding: [],
};

const overlay: VxlanSpec = {
  kind: "vxlan",
  name: "hdvxlan",
  mtu: 1450,
  mac: "06:00:00:00:00:01",
  vni: 4096,
  port: 4789,
  local: "192.0.2.1",
};

const pod: VethSpec = {
  kind: "veth",
  name: "hd0000000001",
  mtu: 1450,
  peer: {
    netns: "/run/netns/pod",
    ifName: "eth0",
    mac: "02:00:00:00:00:01",
    addresses: ["10.244.0.1"],
  },
};

const ruleset = {
  table: "heddle",
  sets: [],
  maps: [],
  chains: [{ name: "admission", rules: ["accept"] }],
};

const wanted: NodeState = {
  sysctls: [{ key: "net/ipv4/ip_forward", value: "1" }],
  links: [overlay, pod],
  addresses: [{ link: "lo", address: "169.254.1.1", prefixLength: 32 }],
  routes: [
    { destination: parseCidr("10.244.0.1/32"), link: pod.name },
    { destination: parseCidr("10.244.0.64/26"), link: "hdvxlan", via: "192.0.2.2", onLink: true },
  ],
  neighbours: [{ link: "hdvxlan", address: "192.0.2.2", mac: "06:00:00:00:00:02" }],
  forwarding: [{ link: "hdvxlan", mac: "06:00:00:00:00:02", remote: "192.0.2.2" }],
  ruleset,
};

const kindsOf = (plan: Plan) => plan.map(({ kind }) => kind);

describe("a plan", () => {
  test("brings policy into force before any link exists, and addresses before routes", () => {
    assert.deepEqual(kindsOf(planNode(wanted, nothing)), [
      "sysctl",
      "nft",
      "link-add",
      "link-add",
      "address-add",
      "neighbour-replace",
      "forwarding-replace",
      "route-replace",
      "route-replace",
    ]);
  });

  test("takes a link off the fast path before its rules go, and puts it on after all is there", () => {
    const fast: NodeState = { ...wanted, fastPath: fastPathFor(wanted.links) };
    const putting = kindsOf(planNode(fast, nothing));
    assert.deepEqual(putting.slice(-2), ["fast-path-put", "fast-path-put"]);
    const { fastPath = [] } = fast;
    const without: NodeState = {
      ...wanted,
      links: [overlay],
      ruleset: { ...ruleset, chains: [] },
      fastPath: fastPath.filter(({ from }) => from === "nodes"),
    };
    const taking = kindsOf(planNode(without, fast));
    assert.deepEqual(taking.slice(0, 2), ["fast-path-delete", "nft"]);
    assert.equal(taking.at(-1), "link-delete");
  });

  test("puts the fast path again on a link that has to be made again", () => {
    const fast: NodeState = { ...wanted, fastPath: fastPathFor(wanted.links) };
    const other: NodeState = { ...fast, links: [{ ...overlay, vni: 7 }, pod] };
    const put = planNode(fast, other).filter(({ kind }) => kind === "fast-path-put");
    assert.deepEqual(put, [
      { kind: "fast-path-put", fastPath: { from: "nodes", link: "hdvxlan" } },
    ]);
  });

  test("has no step from a state to itself", () => {
    assert.deepEqual(planNode(wanted, wanted), []);
    assert.deepEqual(planNode(structuredClone(wanted), wanted), []);
  });

  test("replaces the whole table where what the kernel has is unknown", () => {
    const { ruleset: _, ...unknown } = wanted;
    const [step, ...rest] = planNode(wanted, unknown);
    assert.deepEqual(rest, []);
    assert.match(step?.kind === "nft" ? step.text : "", /^add table inet heddle\ndelete table/);
  });

  test("deletes last, and not what goes with its link", () => {
    const { links, routes, ...rest } = wanted;
    const fewer: NodeState = { ...rest, links: links.slice(0, 1), routes: routes.slice(1) };
    assert.deepEqual(planNode(fewer, wanted), [{ kind: "link-delete", name: pod.name }]);
  });

  test("deletes routes, neighbours and forwarding entries of nodes that are gone", () => {
    const alone: NodeState = {
      ...wanted,
      routes: wanted.routes.slice(0, 1),
      neighbours: [],
      forwarding: [],
    };
    assert.deepEqual(kindsOf(planNode(alone, wanted)), [
      "route-delete",
      "neighbour-delete",
      "forwarding-delete",
    ]);
  });

  test("never deletes an address from a link that is not Heddle's", () => {
    const observed: NodeState = {
      ...wanted,
      addresses: [...wanted.addresses, { link: "lo", address: "127.0.0.1", prefixLength: 8 }],
    };
    assert.deepEqual(planNode(wanted, observed), []);
  });

  test("puts back what stood on a device that has to change", () => {
    const observed: NodeState = { ...wanted, links: [{ ...overlay, local: "192.0.2.9" }, pod] };
    assert.deepEqual(kindsOf(planNode(wanted, observed)), [
      "link-add",
      "neighbour-replace",
      "forwarding-replace",
      "route-replace",
    ]);
  });

  test("completes a pod's link whose other end the driver cannot vouch for", () => {
    const half: VethSpec = {
      ...pod,
      peer: { netns: "", ifName: "", mac: "", addresses: [] },
    };
    const plan = planNode(wanted, { ...wanted, links: [overlay, half] });
    assert.deepEqual(kindsOf(plan), ["link-add", "route-replace"]);
  });

  test("takes a route whose link the kernel chose by itself for the one it asked for", () => {
    const destination = parseCidr("10.244.0.64/26");
    const direct: NodeState = { ...nothing, routes: [{ destination, via: "192.0.2.2" }] };
    const observed: NodeState = {
      ...nothing,
      routes: [{ destination, via: "192.0.2.2", link: "eth0" }],
    };
    assert.deepEqual(planNode(direct, observed), []);
  });
});
