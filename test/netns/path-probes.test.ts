/**
 * Probes of the path check between two hosts with a router between them, of both families: what arrives is heard, what a
 * router says is told, and of what vanishes the largest that fits is found to the byte.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { PathProbes } from "../../src/agent/check/path-probes.ts";
import { type IpFamily, ipFamilies } from "../../src/base/ip.ts";
import { systemClock } from "../../src/cli/system-clock.ts";
import type { WayTo } from "../../src/core/topology/ways.ts";
import { createNetns, deleteNetns, inNetns } from "../../src/kernel/netns.ts";
import type { HeardProbes, PathProbe } from "../../src/model/network-check.ts";

const prefix = `heddle-test-${process.pid}-probes`;
const names = ["one", "router", "two"].map((name) => `${prefix}-${name}`);
const [one = "", router = "", two = ""] = names;
const tightBytes = 1_337;
const addresses: Readonly<Record<IpFamily, readonly [string, string]>> = {
  IPv4: ["192.0.2.1", "198.51.100.1"],
  IPv6: ["2001:db8:1::1", "2001:db8:2::1"],
};
let check = 0;

function run(netns: string, ...lines: readonly string[]): void {
  for (const line of lines) execFileSync("ip", ["netns", "exec", netns, "sh", "-c", line]);
}

/** From host one to host two, which listens. */
async function probe(
  family: IpFamily,
  bytes: number,
): Promise<{ readonly sent: PathProbe; readonly heard: readonly HeardProbes[] }> {
  const [from, to] = addresses[family];
  const there: WayTo = { peer: "two", way: "underlay", from, to, bytes };
  const back: WayTo = { peer: "one", way: "underlay", from: to, to: from, bytes };
  const id = ++check;
  const listener = inNetns(
    `/run/netns/${two}`,
    () => new PathProbes(id, [back], "eth0", systemClock),
  );
  const sender = inNetns(
    `/run/netns/${one}`,
    () => new PathProbes(id, [there], "eth0", systemClock),
  );
  try {
    const [sent] = await sender.run([there], [{ node: "two", port: listener.port }]);
    assert.ok(sent !== undefined);
    return { sent, heard: listener.heard() };
  } finally {
    sender.close();
    listener.close();
  }
}

const skip = process.getuid?.() === 0 ? false : "needs root";

describe("probes of a path", { skip }, () => {
  before(() => {
    for (const name of names) {
      createNetns(`/run/netns/${name}`);
      run(name, "ip link set lo up");
    }
    for (const [index, host] of [one, two].entries()) {
      const [subnet, subnet6] =
        index === 0 ? ["192.0.2", "2001:db8:1"] : ["198.51.100", "2001:db8:2"];
      run(
        router,
        `ip link add to${index} type veth peer name eth0 netns ${host}`,
        `ip link set to${index} up`,
      );
      run(
        router,
        `ip address add ${subnet}.254/24 dev to${index}`,
        `ip address add ${subnet6}::fe/64 dev to${index} nodad`,
      );
      run(
        host,
        "ip link set eth0 up",
        `ip address add ${subnet}.1/24 dev eth0`,
        `ip address add ${subnet6}::1/64 dev eth0 nodad`,
      );
      run(
        host,
        `ip route add default via ${subnet}.254`,
        `ip route add default via ${subnet6}::fe`,
      );
    }
    run(router, "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  });
  after(() => {
    for (const name of names) deleteNetns(`/run/netns/${name}`);
  });

  for (const family of ipFamilies) {
    describe(`of ${family}`, () => {
      test("arrive with the size that they say, and each is heard once", async () => {
        const { sent, heard } = await probe(family, 1_500);
        assert.deepEqual([sent.small.answered, sent.full.answered, sent.unsent], [1, 1, undefined]);
        const echoes = sent.small.sent + sent.full.sent;
        assert.deepEqual(heard, [
          { from: "one", way: "underlay", echoes, largestBytes: 1_500, datagrams: 12 },
        ]);
      });

      test("that a router calls too large are no black hole", async () => {
        run(router, `ip link set to1 mtu ${tightBytes}`);
        try {
          const { sent } = await probe(family, 1_500);
          assert.deepEqual([sent.full.answered, sent.toldBytes], [0, tightBytes]);
          assert.equal(sent.largestBytes, undefined);
        } finally {
          run(router, "ip link set to1 mtu 1500");
        }
      });

      test("that vanish are cut to the largest that fits", async () => {
        run(router, `ip link set to1 mtu ${tightBytes}`);
        run(
          router,
          "nft 'table inet quiet { chain c { type filter hook output priority 0; policy drop; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept;\n}\n}'",
        );
        try {
          const { sent, heard } = await probe(family, 1_500);
          assert.deepEqual([sent.full.answered, sent.toldBytes], [0, undefined]);
          assert.equal(sent.largestBytes, tightBytes);
          assert.equal(heard[0]?.largestBytes, tightBytes);
        } finally {
          run(router, "nft delete table inet quiet", "ip link set to1 mtu 1500");
        }
      });
    });
  }

  test("that the own kernel does not send say so", async () => {
    run(
      one,
      "nft 'table inet quiet { chain c { type filter hook output priority 0; policy drop;\n}\n}'",
    );
    try {
      const { sent } = await probe("IPv4", 1_500);
      assert.deepEqual([sent.small.answered, sent.datagrams], [0, 0]);
      assert.match(sent.unsent ?? "", /EPERM/);
    } finally {
      run(one, "nft delete table inet quiet");
    }
  });
});
