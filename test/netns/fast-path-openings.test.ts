/**
 * Connections that are opened on the fast path, since nftables let one like them through: that it is so, and that what
 * nftables says now is what happens to the next one.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { planNode } from "../../src/core/dataplane/plan-node.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { detachFromLink } from "../../src/kernel/bpf/attach.ts";
import { missingBpf } from "../../src/kernel/features.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { type Netns, nft, TestNetwork } from "./dataplane-node.ts";
import {
  at,
  closed,
  type DrivenNode,
  isolated,
  type PodName,
  port,
  twoNodes,
  worldWith,
} from "./fast-path-nodes.ts";
import {
  ask,
  ended,
  endTraffic,
  opened,
  patiently,
  serveEcho,
  talk,
  tracked,
} from "./fast-path-traffic.ts";
import { linksJson, needsRoot } from "./kernel-scratch.ts";

const answering = port + 1;
const silent = port + 2; // nobody listens there

describe("a connection like one before", { skip: needsRoot || (missingBpf() ?? false) }, () => {
  let network: TestNetwork;
  let one: DrivenNode;
  let two: DrivenNode;
  let pods: Readonly<Record<PodName, Netns>>;

  before(async () => {
    network = new TestNetwork();
    ({ one, two, pods } = twoNodes(network));
    for (const pod of ["server", "neighbour"] as const) {
      await serveEcho(pods[pod]);
      await network.serve(pods[pod], answering, pod);
    }
    show(isolated);
  });
  after(async () => {
    endTraffic();
    for (const node of [one, two]) node.driver.close();
    await network[Symbol.asyncDispose]();
  });

  const show = (policy: string, looks = false) => {
    for (const node of [one, two]) node.bringTo(worldWith(policy), looks);
  };
  const askServer = (options?: Parameters<typeof ask>[3]) =>
    ask(pods.client, at.server[0], answering, options);
  const answered = /^(server|neighbour) /;

  /** Packets of one more connection that netfilter sees on both nodes together. */
  const seenOf = async (address: string, options?: Parameters<typeof ask>[3]) => {
    const before = one.forwarded() + two.forwarded();
    assert.match(await ask(pods.client, address, answering, options), answered);
    return one.forwarded() + two.forwarded() - before;
  };

  for (const family of [0, 1] as const) {
    for (const to of ["server", "neighbour"] as const) {
      test(`to ${at[to][family]} shows netfilter one packet on each node`, async () => {
        const address = at[to][family];
        assert.match(await ask(pods.client, address, answering), answered);
        assert.equal(await seenOf(address), to === "server" ? 2 : 1);
      });
    }
  }

  test("is forgotten when it has ended, and its port can be used again", async () => {
    await askServer(patiently);
    const fromPort = 41_001;
    for (let i = 0; i < 3; i++) assert.equal(await seenOf(at.server[0], { fromPort }), 2);
    for (const { netns } of [one, two]) assert.equal(tracked(netns, fromPort).length, 1);
  });

  test("is refused by a policy that closes the port, and so is one that uses its port again", async () => {
    const fromPort = 41_002;
    assert.match(await askServer({ fromPort, ...patiently }), answered);
    assert.match(await askServer(patiently), answered);
    show(closed);
    assert.equal(await askServer(), "timeout");
    assert.equal(await askServer({ fromPort }), "timeout");
    show(isolated);
    assert.match(await askServer(patiently), answered);
  });

  test("is refused from the port of one that has ended, also where nothing is on the fast path any more", async () => {
    const fromPort = 41_008;
    for (let i = 0; i < 2; i++) assert.match(await askServer({ fromPort, ...patiently }), answered);
    show(closed);
    for (const place of places()) takeOff(place);
    assert.equal(await askServer({ fromPort }), "timeout");
    show(isolated);
    assert.match(await askServer({ fromPort, ...patiently }), answered);
    show(isolated, true);
  });

  test("is not let through by one that outlives its policy, whenever that one speaks", async () => {
    show(closed);
    show(isolated); // so that the plain path makes these two
    const [old, spoken] = [
      await opened(pods.client, at.server[0]),
      await opened(pods.client, at.server[0]),
    ];
    await talk(spoken, 2);
    show(closed);
    for (const connection of [old, spoken]) {
      await talk(connection, 2);
      assert.equal(await ask(pods.client, at.server[0], port), "timeout");
      await ended(connection);
      assert.equal(await ask(pods.client, at.server[0], port), "timeout");
    }
    show(isolated);
  });

  test("is asked about anew at each of many changes, while connections come and go", async () => {
    let isEnd = false;
    const outcomes: string[] = [];
    const loop = (async () => {
      while (!isEnd) outcomes.push(await askServer());
    })();
    for (let i = 0; i < 4; i++) {
      show(closed);
      assert.equal(await askServer(), "timeout");
      show(isolated);
      assert.match(await askServer(patiently), answered);
    }
    isEnd = true;
    await loop;
    assert.ok(outcomes.length > 0);
  });

  test("is refused by rules that somebody else puts beside ours", async () => {
    await askServer(patiently);
    assert.equal(await seenOf(at.server[0]), 2);
    nft(
      one.netns,
      `table inet guard { chain forward {
         type filter hook forward priority 10; policy accept; tcp dport ${answering} drop
       }
       }`,
    );
    assert.equal(await askServer(), "timeout");
    show(isolated, true); // a look finds other rules, and numbers them
    assert.equal(await askServer(), "timeout");
    nft(one.netns, "delete table inet guard");
    assert.match(await askServer(patiently), answered);
    show(isolated, true);
    await askServer(patiently);
    assert.equal(await seenOf(at.server[0]), 2);
  });

  test("is refused at once where nobody listens any more", async () => {
    await network.serve(pods.server, silent, "server");
    assert.match(await ask(pods.client, at.server[0], silent), answered);
    await network.stopServing(silent);
    const fromPort = 41_003;
    for (let i = 0; i < 2; i++) {
      assert.equal(await ask(pods.client, at.server[0], silent, { fromPort }), "ECONNREFUSED");
    }
  });

  test("from the port of one through a Service to the same endpoint disturbs it not, nor is disturbed", async () => {
    const service = "10.96.7.7";
    nft(
      one.netns,
      `table inet translate { chain prerouting {
         type nat hook prerouting priority -110; policy accept;
         ip daddr ${service} tcp dport 80 dnat ip to ${at.server[0]}:${port}
       }
       }`,
    );
    show(isolated, true);
    await ended(await spokenWith(at.server[0], port));
    const [direct, through] = [
      (fromPort: number) => spokenWith(at.server[0], port, fromPort),
      (fromPort: number) => spokenWith(service, 80, fromPort),
    ];
    const orders = [
      [41_004, through, direct],
      [41_005, direct, through],
    ] as const;
    for (const [fromPort, first, second] of orders) {
      const both = [await first(fromPort), await second(fromPort)];
      for (const connection of [...both, ...both]) await talk(connection, 20);
      for (const connection of both) await ended(connection);
    }
    nft(one.netns, "delete table inet translate");
    show(isolated, true);
  });

  test("is opened although the kernel was made to forget the one before, or this one", async () => {
    await askServer(patiently);
    const connection = await spokenWith(at.server[0], port, 41_006);
    for (const node of [one, two]) node.driver.forgetConnections(new Set([at.client[0]]));
    assert.match(await askServer(patiently), answered);
    await talk(connection, 2); // as one that is picked up in the middle
    await ended(connection);
  });

  test("is opened when programs are missing at any of the places that it passes", async () => {
    for (const missing of [0b0001, 0b0010, 0b0100, 0b1000, 0b1010, 0b1111]) {
      show(isolated, true);
      assert.match(await askServer(patiently), answered);
      for (const [index, place] of places().entries()) {
        if ((missing & (2 ** index)) !== 0) takeOff(place);
      }
      const answer = await askServer(patiently);
      assert.match(answer, answered, `without those of ${missing.toString(2)}`);
    }
    show(isolated, true);
  });

  test("is opened while one agent follows the other, with the fast path or without", async () => {
    const world = worldWith(isolated);
    let isEnd = false;
    const outcomes: string[] = [];
    const loop = (async () => {
      while (!isEnd) outcomes.push(await askServer(patiently));
    })();
    for (const fastPath of [true, false, true]) {
      const next = inNetns(one.netns.path, () => openKernelDriver({ fastPath }));
      const wanted = compileNode(viewFor(world, "one"), one.attachments, next.features).value;
      next.apply(planNode(wanted, next.observe(wanted.ruleset)));
      const so = outcomes.length;
      while (outcomes.length < so + 2) await askServer(patiently);
      next.close();
    }
    isEnd = true;
    await loop;
    for (const outcome of outcomes) assert.match(outcome, answered);
    show(isolated, true);
  });

  test("agrees on segments that fit the way between, however large the pods' own links are", async () => {
    for (const pod of [pods.client, pods.server]) {
      execFileSync("ip", ["-n", pod.name, "link", "set", "eth0", "mtu", "9000"]);
    }
    await ended(await spokenWith(at.server[0], port));
    const connection = await spokenWith(at.server[0], port, 41_007);
    const sockets = execFileSync(
      "ip",
      ["netns", "exec", pods.client.name, "ss", "-tinH", "sport", "41007"],
      {
        encoding: "utf8",
      },
    );
    const size = Number(/ mss:(\d+)/.exec(sockets)?.[1]);
    assert.ok(size > 0 && size <= 1450 - 40, sockets);
    await ended(connection);
    for (const pod of [pods.client, pods.server]) {
      execFileSync("ip", ["-n", pod.name, "link", "set", "eth0", "mtu", "1450"]);
    }
  });

  const spokenWith = async (address: string, at: number, fromPort?: number) => {
    const connection = await opened(pods.client, address, at, fromPort);
    await talk(connection, 2);
    return connection;
  };

  /** Where programs are, on the way there and back. */
  const places = (): readonly Place[] => [
    { node: one, at: "client", program: "hd_from_pod" },
    { node: one, at: "overlay", program: "hd_from_node" },
    { node: two, at: "overlay", program: "hd_from_node" },
    { node: two, at: "server", program: "hd_from_pod" },
  ];

  const takeOff = ({ node, at: place, program }: Place) => {
    const name = place === "overlay" ? "hdvxlan" : node.linkOf(place);
    const link = linksJson(node.netns.path).find(({ ifname }) => ifname === name);
    const linkIndex = link?.ifindex ?? 0;
    inNetns(node.netns.path, () => detachFromLink({ linkIndex, direction: "ingress" }, program));
  };
});

interface Place {
  readonly node: DrivenNode;
  readonly at: PodName | "overlay";
  readonly program: string;
}
