/** Compile, plan, apply and observe close the circle: what the driver made is what was wanted, and asks for nothing. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../../src/api/resource.ts";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { planNode } from "../../src/core/dataplane/plan-node.ts";
import { hostLinkName, podMac } from "../../src/core/dataplane/pod-link.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { worldOf } from "../../src/core/registry/world.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { NodeState } from "../../src/model/node-state.ts";
import type { Attachment } from "../../src/model/node-view.ts";
import { ip, TestNetwork } from "./dataplane-node.ts";

function node(name: string, address: string, cidr: string): readonly Resource[] {
  const status = { addresses: [{ type: "InternalIP", address }] };
  const spec = { cidr, node: name };
  const host = { apiVersion: "v1", kind: "Node", metadata: { name }, status };
  const block = {
    apiVersion: "heddle.dev/v1",
    kind: "AddressBlock",
    metadata: { name: cidr.replace("/", "-") },
    spec,
  };
  return [host, block];
}

describe("a node's state", { skip: needsRoot() }, () => {
  for (const encap of ["vxlan", "none"]) {
    test(`needs no further step once its plan is applied, with encapsulation ${encap}`, async () => {
      await using network = new TestNetwork();
      const host = network.netns();
      // The nodes' own link, so that other nodes are reachable without encapsulation.
      ip(host, "link add up0 type veth peer name up1; link set up0 up; link set up1 up");
      ip(host, "address add 192.0.2.1/24 dev up0");
      const pods = [network.netns(), network.netns()].map(({ path }, index) =>
        attachment(path, index),
      );
      inNetns(host.path, () => {
        const driver = openKernelDriver();
        try {
          const settings = { podCidr: "10.244.0.0/16", blockPrefixLength: 26, encap };
          const plan: Resource & { spec: unknown } = {
            apiVersion: "heddle.dev/v1",
            kind: "Network",
            metadata: { name: "default" },
            spec: { ...settings, serviceCidr: "10.96.0.0/16" },
          };
          const world = worldOf([
            plan,
            ...node("one", "192.0.2.1", "10.244.0.0/26"),
            ...node("two", "192.0.2.2", "10.244.0.64/26"),
          ]);
          const view = viewFor(world, "one");
          const wanted = (attachments: readonly Attachment[]): NodeState =>
            compileNode(view, attachments, driver.features).value;
          const left = (state: NodeState) =>
            planNode(state, {
              ...driver.observe(),
              sysctls: state.sysctls,
              ...(state.ruleset === undefined ? {} : { ruleset: state.ruleset }),
            });

          const empty = wanted([]);
          driver.apply(planNode(empty, driver.observe()));
          assert.deepEqual(left(empty), []);
          const both = wanted(pods);
          driver.apply(planNode(both, empty));
          assert.deepEqual(left(both), []);
          driver.apply(planNode(empty, both));
          assert.deepEqual(left(empty), []);
        } finally {
          driver.close();
        }
      });
    });
  }
});

function attachment(netns: string, index: number): Attachment {
  return {
    containerId: netns,
    ifName: "eth0",
    netns,
    namespace: "shop",
    name: `web-${index}`,
    uid: "",
    addresses: [`10.244.0.${index}`],
    hostLink: hostLinkName(netns, "eth0"),
    mac: podMac(netns, "eth0"),
  };
}

function needsRoot(): string | false {
  return process.getuid?.() === 0 ? false : "needs root";
}
