/**
 * Rules of others beside the fast path: what they may say differently of the next connection, though nobody has changed them,
 * is asked at each one.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { after, before, describe, test } from "node:test";
import { missingBpf } from "../../src/kernel/features.ts";
import { type Netns, nft, TestNetwork } from "./dataplane-node.ts";
import {
  at,
  type DrivenNode,
  isolated,
  type PodName,
  port,
  twoNodes,
  worldWith,
} from "./fast-path-nodes.ts";
import {
  type Asking,
  ask,
  ended,
  endTraffic,
  opened,
  patiently,
  serveEcho,
  talk,
} from "./fast-path-traffic.ts";
import { needsRoot } from "./kernel-scratch.ts";

const answering = port + 1;
const knocked = port + 2; // nobody listens there
const client = at.client[0];
const rounds = 100;
const mostPauseMs = 200;

describe("rules of others", { skip: needsRoot || (missingBpf() ?? false) }, () => {
  let network: TestNetwork;
  let one: DrivenNode;
  let two: DrivenNode;
  let pods: Readonly<Record<PodName, Netns>>;

  before(async () => {
    network = new TestNetwork();
    ({ one, two, pods } = twoNodes(network));
    await network.serve(pods.server, answering, "server");
    await serveEcho(pods.server);
    look();
  });
  after(async () => {
    endTraffic();
    for (const node of [one, two]) node.driver.close();
    await network[Symbol.asyncDispose]();
  });

  const look = () => {
    for (const node of [one, two]) node.bringTo(worldWith(isolated), true);
  };
  const askServer = (options?: Asking) => ask(pods.client, at.server[0], answering, options);
  const answered = /^server /;

  /** Packets of a connection that netfilter sees on the client's node, after two like it. */
  const seenOfThird = async () => {
    for (let i = 0; i < 2; i++) assert.match(await askServer(patiently), answered);
    const before = one.forwarded();
    assert.match(await askServer(patiently), answered);
    return one.forwarded() - before;
  };

  /** While the client's node has that table, and its agent has looked. */
  const beside = async (table: string, action: () => Promise<void>) => {
    nft(one.netns, `table inet guard {\n${table}\n}`);
    look();
    try {
      await action();
    } finally {
      nft(one.netns, "delete table inet guard");
      look();
    }
  };
  const forward = (rules: string) =>
    `chain forward { type filter hook forward priority 10; policy accept; ${rules}; }`;

  test("refuse a client that packets have put into a set of theirs", async () => {
    const sets = "set blocked { type ipv4_addr; flags dynamic; size 64; }";
    const rules = `ip saddr @blocked drop; tcp dport ${knocked} add @blocked { ip saddr }`;
    await beside(`${sets}\n${forward(rules)}`, async () => {
      for (let i = 0; i < 3; i++) assert.match(await askServer(patiently), answered);
      await ask(pods.client, at.server[0], knocked);
      assert.equal(await askServer(), "timeout");
    });
  });

  test("refuse a client whose element of a set of theirs has expired", async () => {
    const sets = `set guests { type ipv4_addr; flags timeout; elements = { ${client} timeout 15s }; }`;
    const rules = `ip saddr ${client} tcp dport ${answering} ip saddr != @guests drop`;
    await beside(`${sets}\n${forward(rules)}`, async () => {
      for (let i = 0; i < 3; i++) assert.match(await askServer(patiently), answered);
      while (runIn(one.netns, "nft list set inet guard guests").includes(client)) await turn();
      assert.equal(await askServer(), "timeout");
    });
  });

  test("refuse a client that has used up its quota", async () => {
    const rules = `tcp dport ${answering} tcp flags syn quota over 250 bytes drop`;
    await beside(forward(rules), async () => {
      const answers: string[] = [];
      for (let i = 0; i < 6; i++) answers.push(await askServer());
      assert.equal(answers.at(-1), "timeout", answers.join());
    });
  });

  test("refuse a client's port that they do not let through, though another was", async () => {
    const rules = `tcp dport ${answering} tcp sport 41100 drop`;
    await beside(forward(rules), async () => {
      for (let i = 0; i < 3; i++) assert.match(await askServer(patiently), answered);
      assert.equal(
        await ask(pods.client, at.server[0], answering, { fromPort: 41_100 }),
        "timeout",
      );
    });
  });

  const asked: readonly (readonly [what: string, table: string])[] = [
    ["a rate", forward("limit rate over 100000/second drop")],
    ["a number of connections", forward("ct count over 100000 drop")],
    ["the time of day", forward('meta hour "00:00"-"23:59" counter')],
    ["the machine's own addresses", forward("fib daddr type local drop")],
    ["chance", forward("numgen random mod 2 { 0, 1 } counter")],
    ["the hops left of a packet", forward("ip ttl < 2 drop")],
    ["what a rule writes on connections", forward("ct mark set ct mark")],
    ["what a rule writes into the log", forward('ct state new log prefix "new "')],
    [
      "a rate in a chain that another leads to",
      `chain more { limit rate over 100000/second drop; }\n${forward("jump more")}`,
    ],
    [
      "a rate in a chain that a map leads to",
      `chain more { limit rate over 100000/second drop; }\n${forward(`tcp dport vmap { ${answering} : jump more }`)}`,
    ],
    [
      "a rate of an element",
      `set some { type ipv4_addr; limit rate over 100000/second; elements = { ${client} }; }\n${forward("ip saddr @some drop")}`,
    ],
    [
      "a named limit",
      `limit much { rate over 100000/second }\n${forward('limit name "much" drop')}`,
    ],
    [
      "a set that what is sent to the machine fills",
      `set knocked { type ipv4_addr; flags dynamic; size 64; }
       chain input { type filter hook input priority 10; policy accept; udp dport 7 add @knocked { ip saddr }; }
       ${forward("ip saddr @knocked drop")}`,
    ],
  ];
  for (const [what, table] of asked) {
    test(`are asked about each connection where they ask about ${what}`, async () => {
      await beside(table, async () => {
        assert.match(one.driver.fastPathStatus(), /^on, but .*table guard, chain (forward|more): /);
        assert.ok((await seenOfThird()) > 1);
      });
    });
  }

  const once: readonly (readonly [what: string, table: string])[] = [
    [
      "addresses, ports, links and states",
      `set banned { type ipv4_addr; flags interval; elements = { 198.51.100.0/24 }; }
       map ports { type inet_service : verdict; elements = { 22 : drop }; }
       chain more { ip saddr . tcp dport { 198.51.100.1 . 80 } counter drop; }
       ${forward(`
         ct state invalid drop; iifname "eth0" oifname "eth1" accept; meta l4proto udp reject
         ip saddr @banned drop; ip6 daddr 2001:db8::/32 drop; tcp dport vmap @ports; jump more`)}`,
    ],
    [
      "anything of what is sent to the machine itself",
      "chain input { type filter hook input priority 10; policy accept; limit rate over 100000/second drop; }",
    ],
    [
      "what to translate",
      "chain out { type nat hook postrouting priority 100; policy accept; ip saddr 198.51.100.0/24 masquerade; }",
    ],
  ];
  for (const [what, table] of once) {
    test(`are asked about the first of like connections where they ask about ${what}`, async () => {
      await beside(table, async () => {
        assert.doesNotMatch(one.driver.fastPathStatus(), /connections open on the plain path/);
        assert.equal(await seenOfThird(), 1);
      });
    });
  }

  test("stop an agent for no more than a moment with a set of 200 000 addresses", async () => {
    const addresses = Array.from(
      { length: 200_000 },
      (_, i) => `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.1`,
    );
    const sets = `set bad { type ipv4_addr; elements = { ${addresses} } }`;
    nft(one.netns, `table inet guard {\n${sets}\n${forward("ip saddr @bad drop")}\n}`);
    const { ruleset } = one.wanted(worldWith(isolated));
    assert.ok(ruleset);
    const pauses = monitorEventLoopDelay({ resolution: 1 });
    pauses.enable();
    await one.driver.readTable(ruleset);
    pauses.disable();
    assert.ok(pauses.max < mostPauseMs * 1e6, `${pauses.max / 1e6} ms in turns`);
    nft(one.netns, "add element inet guard bad { 198.51.100.1 }");
    const start = performance.now();
    one.driver.observe(ruleset);
    const pauseMs = performance.now() - start;
    assert.ok(pauseMs < mostPauseMs, `${pauseMs} ms at once`);
    assert.match(one.driver.fastPathStatus(), /chain forward: set bad, which is too large/);
    nft(one.netns, "delete table inet guard");
    look();
    assert.equal(one.driver.fastPathStatus(), "on");
  });

  for (const place of ["the client's link", "the overlay"] as const) {
    test(`are asked about each packet where they hang on ${place}`, async () => {
      const device = place === "the overlay" ? "hdvxlan" : one.linkOf("client");
      nft(
        one.netns,
        `table netdev guard {
           counter seen { }
           chain in { type filter hook ingress device "${device}" priority 0; policy accept; counter name seen; }
         }`,
      );
      look();
      assert.match(one.driver.fastPathStatus(), new RegExp(`${device} .*a chain of nftables`));
      const connection = await opened(pods.client, at.server[0]);
      await talk(connection, rounds);
      await ended(connection);
      const seen = runIn(one.netns, "nft list counters table netdev guard");
      assert.ok(Number(/packets (\d+)/.exec(seen)?.[1]) >= rounds, seen);
      nft(one.netns, "delete table netdev guard");
      look();
      assert.equal(one.driver.fastPathStatus(), "on");
    });
  }

  test("are asked about each connection where they have an extension of iptables", async () => {
    const rules = (words: string) => runIn(one.netns, `iptables-nft -A FORWARD -p tcp ${words}`);
    rules("-m comment --comment web --dport 81 -j REJECT");
    look();
    assert.equal(await seenOfThird(), 1);
    rules("--dport 81 -m recent --name seen --set");
    look();
    assert.ok((await seenOfThird()) > 1);
    nft(one.netns, "delete table ip filter");
    look();
  });

  test("are asked about each connection where they are legacy iptables', whose changes have no number", async () => {
    const iptables = (words: string) => runIn(one.netns, `iptables-legacy ${words}`);
    for (let i = 0; i < 3; i++) assert.match(await askServer(patiently), answered);
    iptables(`-A FORWARD -p tcp --dport ${answering} -j DROP`);
    assert.equal(await askServer(), "timeout", "although the agent has not looked yet");
    iptables("-F FORWARD");
    look();
    for (let i = 0; i < 3; i++) assert.match(await askServer(patiently), answered);
    iptables(`-A FORWARD -p tcp --dport ${answering} -j DROP`);
    assert.equal(await askServer(), "timeout");
    iptables("-F FORWARD");
  });
});

function runIn(where: Netns, command: string): string {
  const words = ["netns", "exec", where.name, ...command.split(" ")];
  return execFileSync("ip", words, { encoding: "utf8" });
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}
