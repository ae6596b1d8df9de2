/**
 * Two interfaces of one container, as runtimes that call for all of a container's networks at once make them: each has an
 * address that answers by its own link, they share one sidecar, and each goes without the other.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inNetns } from "../../src/kernel/netns.ts";
import {
  addressIn,
  type CniCall,
  CniNode,
  type CniResultJson,
  nodeAddress,
  run,
  skipWithoutExecutable,
} from "./cni-node.ts";

const names = ["eth0", "net1"] as const;

describe("two interfaces of one container", { skip: skipWithoutExecutable }, () => {
  let machine: CniNode;

  before(async () => {
    machine = await CniNode.start({ podCidr: "10.244.0.0/24", podCidr6: "fd00:9::/112" });
    machine.node.showPods([
      { name: "web", addressing: { pools: ["default", "six"], addresses: [] } },
      { name: "meshed", meshed: true },
    ]);
  });
  after(async () => machine[Symbol.asyncDispose]());

  for (const first of names) {
    test(`added at once answer at each address, and without ${first} at what is left`, async () => {
      const netns = machine.netns();
      const results = await addBoth({ netns });
      for (const name of names) {
        const check = {
          command: "CHECK",
          netns,
          ifName: name,
          config: { prevResult: results[name] },
        };
        assert.equal((await machine.call(check)).stdout, "");
        for (const { address } of results[name].ips) ping(address);
      }
      for (const name of names)
        inNetns(netns, () => ping(nodeAddress, "-I", addressIn(results[name])));

      await machine.del("c1", { ifName: first });
      const rules = inNetns(netns, () => run("ip", "rule") + run("ip", "-6", "rule"));
      for (const { address } of results[first].ips) {
        const [host = ""] = address.split("/");
        assert.ok(!rules.includes(`from ${host} `), `no rule is left of ${first}`);
      }
      const left = first === "eth0" ? "net1" : "eth0";
      for (const { address } of results[left].ips) ping(address);
      inNetns(netns, () => ping(nodeAddress));
      const check = {
        command: "CHECK",
        netns,
        ifName: left,
        config: { prevResult: results[left] },
      };
      assert.equal((await machine.call(check)).stdout, "");

      const again = await machine.add({ netns, ifName: first });
      for (const { address } of [...again.ips, ...results[left].ips]) ping(address);
      await Promise.all(names.map((ifName) => machine.del("c1", { ifName })));
      await nothingLeft();
    });
  }

  test("of a meshed pod, added and deleted at once, have one sidecar, and leave none", async () => {
    for (let i = 0; i < 3; i++) {
      const netns = machine.netns();
      await addBoth({ netns, pod: "meshed" });
      const { attachments } = await machine.node.status();
      const pids = attachments.map(({ sidecar }) => (sidecar?.kind === "ready" ? sidecar.pid : 0));
      assert.equal(pids.filter((pid) => pid > 0).length, 1);
      assert.match(
        inNetns(netns, () => run("nft", "list", "tables")),
        /inet heddle/,
      );
      await Promise.all(names.map((ifName) => machine.del("c1", { ifName, pod: "meshed" })));
      await nothingLeft();
      assert.equal(run("ip", "netns", "pids", netns.split("/").at(-1) ?? ""), "");
      assert.equal(
        inNetns(netns, () => run("nft", "list", "tables")),
        "",
      );
    }
  });

  test("of two networks with one name are refused, and neither DEL nor CHECK of the second network means the first's", async () => {
    const netns = machine.netns();
    const result = await machine.add({ netns });
    const other = { netns, config: { name: "other" } };
    const { code, msg } = await machine.refused(other);
    assert.equal(code, 100);
    assert.match(msg, /of network pods/);
    await machine.del("c1", other);
    ping(addressIn(result));
    const check = { ...other, command: "CHECK", config: { name: "other", prevResult: result } };
    assert.equal((await machine.refused(check)).code, 3);
    await machine.del("c1");
    await nothingLeft();
  });

  async function addBoth(
    call: CniCall,
  ): Promise<Readonly<Record<(typeof names)[number], CniResultJson>>> {
    const add = (ifName: string) => machine.add({ ...call, ifName });
    const [eth0, net1] = await Promise.all([add("eth0"), add("net1")]);
    return { eth0, net1 };
  }

  async function nothingLeft(): Promise<void> {
    const { attachments, addressesInUse } = await machine.node.status();
    assert.deepEqual([attachments, addressesInUse], [[], 0]);
    assert.doesNotMatch(run("ip", "-br", "link"), /hd[0-9a-f]{10}/);
  }
});

function ping(address: string, ...words: readonly string[]): void {
  const [host = ""] = address.split("/");
  run("ping", "-c1", "-W2", ...words, host);
}
