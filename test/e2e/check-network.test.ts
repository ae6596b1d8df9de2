/**
 * `heddle check network` in a lab where each kind of damage is really done: it names the pair, and the command that it
 * gives, run on the node that it names, makes the finding go away.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { checkNetwork } from "../../src/cli/check-network.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { openProbeSocket } from "../../src/kernel/probe-socket.ts";
import type { Finding, NetworkCheck } from "../../src/model/network-check.ts";
import { heddle, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";
import { startBrokenCard } from "./clients/broken-card.ts";

const longestMs = 20_000; // 13 s by what its phases may take

/** A namespace of the lab, and a command line in it. */
type Line = readonly [where: "node-1" | "node-2" | "underlay", command: string];

interface Damage {
  readonly does: string;
  readonly damage: readonly Line[];
  /** Kind and nodes of every finding. */
  readonly finds: readonly string[];
  /** In some evidence. */
  readonly evidence: RegExp;
  /** The agent repairs it by itself twice a minute, maybe before it is seen. */
  readonly mends?: true;
  /** What the commands leave behind, beside what they repair. */
  readonly undo?: readonly Line[];
}

/** A base chain of a table of somebody else. */
const chain = (hook: string, policy: string, ...rules: string[]) =>
  [
    "nft -f - <<'END'",
    `table inet foreign {\nchain c {\ntype filter hook ${hook} priority 5; policy ${policy};`,
    ...rules,
    "}\n}\nEND",
  ].join("\n");
const unchain = "nft delete table inet foreign";

const damages: readonly Damage[] = [
  {
    does: "a wire that takes less than the links say, without a word",
    damage: [["underlay", "ip link set port2 mtu 1400"]],
    finds: ["mtu-black-hole node-2 → node-1", "fragmented node-1 → node-2"],
    evidence: /none of 3 with 1450 bytes is answered, one with 13\d\d bytes is/,
    undo: [
      ["underlay", "ip link set port2 mtu 1500"],
      ["node-1", "ip link set eth0 mtu 1500"],
    ],
  },
  {
    does: "a table of somebody else that forwards only what it knows",
    damage: [["node-2", chain("forward", "drop", "ct state established,related accept")]],
    finds: ["foreign-hook node-2 → node-1"],
    evidence: /node-2: table inet foreign, chain c \(hook forward\): policy drop/,
    undo: [["node-2", unchain]],
  },
  {
    does: "a rule of iptables against the pods' range",
    damage: [["node-1", "iptables-nft -A FORWARD -s 10.244.0.0/16 -p tcp -j DROP"]],
    finds: ["foreign-hook node-1 → node-2"],
    evidence: /node-1: table ip filter, chain FORWARD .*ip saddr 10\.244\.0\.0\/16/,
    undo: [["node-1", "nft delete table ip filter"]],
  },
  {
    does: "a rule of legacy iptables, which nft does not see",
    damage: [["node-1", "iptables-legacy -A FORWARD -d 10.244.0.0/16 -j REJECT"]],
    finds: ["foreign-hook node-1 → node-2"],
    evidence: /-A FORWARD -d 10\.244\.0\.0\/16 -j REJECT/,
    undo: [["node-1", "iptables-legacy -F FORWARD"]],
  },
  {
    does: "a firewall that takes pings and not the overlay",
    damage: [
      [
        "node-2",
        chain(
          "input",
          "drop",
          "ct state established,related accept",
          "ip protocol icmp accept",
          "iif lo accept",
          'iifname "hd*" accept',
        ),
      ],
    ],
    finds: ["foreign-hook node-1 → node-2"],
    evidence: /no probe node-1 → node-2 by hdvxlan arrived/,
    undo: [["node-2", unchain]],
  },
  {
    does: "strict reverse path filtering where the way back is another link",
    // The agent has its link loose, which holds beside that: somebody made it strict as well.
    damage: [
      ["node-2", "sysctl -q -w net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.hdvxlan.rp_filter=1"],
    ],
    mends: true,
    finds: ["reverse-path node-1 → node-2"],
    evidence: /\d+ packets dropped by reverse path filtering/,
    undo: [
      ["node-2", "sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.hdvxlan.rp_filter=2"],
    ],
  },
  {
    does: "pods that may not reach themselves",
    damage: [["node-1", "nft flush set inet heddle hairpin"]],
    mends: true,
    finds: ["hairpin node-1"],
    evidence: /nftables element \S+ \. \S+ of hairpin is absent/,
  },
  {
    does: "our own rules flushed",
    damage: [["node-2", "nft flush chain inet heddle forward"]],
    mends: true,
    finds: ["ruleset node-2"],
    evidence: /nftables chain forward has 0 rules/,
  },
  {
    does: "a name server that hangs",
    damage: [
      ["node-1", "kill -STOP $(ss -Hlunp src 169.254.1.1 | grep -o 'pid=[0-9]*' | cut -d= -f2)"],
    ],
    finds: ["names-silent node-1"],
    evidence: /of 5 pairs of A and AAAA .* 0 A and 0 AAAA were answered/,
  },
  {
    does: "a filter that lets one of two questions through",
    damage: [["node-2", chain("input", "accept", "udp dport 53 numgen inc mod 2 == 1 drop")]],
    finds: ["foreign-hook node-2", "names-race node-2"],
    evidence:
      /5 A and 0 AAAA were answered|0 A and 5 AAAA were answered|[1-4] A and [1-4] AAAA were/,
    undo: [["node-2", unchain]],
  },
];

describe("a check of the network", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  before(async () => {
    lab = await startLab({ files: ["test/e2e/manifests/quiet-pods.yaml"] });
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  const run = ([where, command]: Line): string =>
    execFileSync("ip", ["netns", "exec", `heddle-${lab.name}-${where}`, "sh", "-c", command], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });

  async function check(): Promise<NetworkCheck> {
    const result = await checkNetwork(lab.connection.transport);
    assert.ok(result.tookMs < longestMs, `took ${result.tookMs} ms`);
    return result;
  }

  /** The agent looks at its links every two seconds; a name server is up again within one. */
  async function untilHealthy(): Promise<void> {
    let last: readonly Finding[] = [];
    await lab
      .until("nothing is found any more", async () => {
        last = (await check()).findings;
        return last.length === 0;
      })
      .catch((error: unknown) => {
        throw new Error(JSON.stringify(last, undefined, 1), { cause: error });
      });
  }

  test("finds nothing where nothing is wrong, and probes each pair both ways", async () => {
    const { findings, nodes, paths, probed } = await check();
    assert.deepEqual(
      { findings, nodes, paths, probed },
      {
        findings: [],
        nodes: ["node-1", "node-2"],
        paths: 4,
        probed: 4,
      },
    );
    const words = ["check", "network", "--lab", lab.name];
    const { stdout, code } = await heddle(words, lab.base);
    assert.match(stdout, /nothing is wrong: 4 of 4 paths .*node-1, node-2 took part/);
    assert.equal(code, 0);
  });

  /** What is found once the damage is done; done again where the agent was faster. */
  function damaged(damage: readonly Line[], mends = false): Promise<readonly Finding[]> {
    const once = async (): Promise<readonly Finding[]> => {
      for (const line of damage) run(line);
      return (await check()).findings;
    };
    if (!mends) return once();
    return lab.until("it is seen before the agent's own look", async () => {
      const findings = await once();
      return findings.length > 0 && findings;
    });
  }

  for (const { does, damage, finds, evidence, mends, undo = [] } of damages) {
    test(`finds ${does}, and the command that it gives helps`, async () => {
      try {
        const findings = await damaged(damage, mends);
        assert.deepEqual(
          findings.map(named).sort(),
          [...finds].sort(),
          JSON.stringify(findings, undefined, 1),
        );
        assert.match(findings.flatMap((each) => each.evidence).join("\n"), evidence);
        for (const { node, command } of findings.flatMap(({ fixes }) => fixes)) {
          assert.ok(node === "node-1" || node === "node-2");
          try {
            run([node, command]);
          } catch (error) {
            // Of two findings with one cause the first command has helped already.
            if (!command.startsWith("kill ")) throw error;
          }
        }
        await untilHealthy();
      } finally {
        for (const line of undo) run(line);
      }
    });
  }

  test("finds a setting that somebody changed, until the agent sets it back by itself", async () => {
    const findings = await damaged([["node-1", "sysctl -q -w net.ipv4.ip_forward=0"]], true);
    assert.deepEqual(findings.map(named), ["setting node-1"]);
    assert.deepEqual(findings[0]?.fixes, [
      { node: "node-1", command: "sysctl -w net.ipv4.ip_forward=1" },
    ]);
    run(["node-1", "sysctl -w net.ipv4.ip_forward=1"]);
    await untilHealthy();
  });

  test("finds a network card that leaves checksums inside the overlay undone", async () => {
    await using _card = await startBrokenCard(lab.name);
    const { findings } = await check();
    assert.deepEqual(findings.map(named), ["checksum node-2 → node-1"]);
    assert.match(findings[0]?.evidence.join("\n") ?? "", /12 datagrams sent .*; 0 arrived/);
    for (const { command } of findings[0]?.fixes ?? []) run(["node-2", command]);
    await untilHealthy();
    run(["node-2", "ethtool -K hdvxlan tx on"]);
  });

  test("finds a table of connections that is nearly full, and the command that it gives makes room", async (t) => {
    const limit = "/proc/sys/net/netfilter/nf_conntrack_max";
    const max = Number(readFileSync(limit, "latin1"));
    run([
      "node-2",
      `nft 'table netdev quiet { chain c { type filter hook egress device eth0 priority 0; ip daddr ${nobody[0]}-${nobody.at(-1)} drop;\n}\n}'`,
    ]);
    for (const address of nobody) {
      run([
        "node-2",
        `ip neigh replace ${address} lladdr 02:00:5e:00:53:01 dev eth0 nud permanent`,
      ]);
    }
    fillConnections(`/run/netns/heddle-${lab.name}-node-2`, Math.ceil(max * 0.91));
    const { findings, connections } = await check();
    assert.deepEqual(findings.map(named), ["connections-full node-2"]);
    assert.deepEqual(findings[0]?.fixes, [
      { node: "node-2", command: `sysctl -w net.netfilter.nf_conntrack_max=${2 * max}` },
    ]);
    assert.ok(connections.some(({ node, count }) => node === "node-2" && count > max * 0.9));
    // The limit is the machine's, and a namespace may not set it: the command is run where this test is.
    const [{ command } = { command: "" }] = findings[0]?.fixes ?? [];
    if (isWritable(limit)) {
      try {
        execFileSync("sh", ["-c", command]);
        assert.equal(Number(readFileSync(limit, "latin1")), 2 * max);
        const now = await check();
        assert.ok(!now.findings.some(({ kind }) => kind === "connections-full"));
        assert.ok(now.connections.some((each) => each.node === "node-2" && each.max === 2 * max));
      } finally {
        writeFileSync(limit, `${max}`);
      }
    } else t.diagnostic("the limit is not this namespace's to set: the command was not run");
    run(["node-2", "nft delete table netdev quiet; conntrack -F"]);
    await untilHealthy();
  });

  test("finds a node whose agent does not answer, and tells it from a host that is away", async () => {
    const agent = (await lab.status()).nodes.find(({ name }) => name === "node-2")?.pid;
    assert.ok(agent !== undefined);
    process.kill(agent, "SIGSTOP");
    try {
      const { findings } = await check();
      assert.deepEqual(findings.map(named), ["node-silent node-2"]);
      assert.match(findings[0]?.summary ?? "", /is up, and its agent takes no part/);
      const words = ["check", "network", "--json", "--lab", lab.name];
      const { stdout, code } = await heddle(words, lab.base);
      assert.deepEqual(JSON.parse(stdout).findings.map(named), ["node-silent node-2"]);
      assert.equal(code, 1);
    } finally {
      process.kill(agent, "SIGCONT");
    }
    await untilHealthy();
    run(["node-2", "ip link set eth0 down"]);
    try {
      const { findings } = await check();
      assert.deepEqual(findings.map(named), ["node-silent node-2"]);
      assert.match(findings[0]?.summary ?? "", /cannot be reached, or is down/);
    } finally {
      run(["node-2", "ip link set eth0 up"]);
    }
    await untilHealthy();
  });
});

/** Mode bits hold for root, too, where a setting is another namespace's. */
function isWritable(path: string): boolean {
  return (statSync(path).mode & 0o200) !== 0;
}

function named({ kind, nodes }: Finding): string {
  return `${kind} ${nodes.join(" → ")}`;
}

/** Addresses of the wire that no host has. */
const nobody = Array.from({ length: 16 }, (_, index) => `192.0.2.${200 + index}`);

/** Datagrams to nobody, each of which is tracked, although none leaves the node. */
function fillConnections(netns: string, count: number): void {
  const ports = 60_000;
  inNetns(netns, () => {
    const socket = openProbeSocket("192.0.2.12", { family: "IPv4", kind: "datagram" });
    const bytes = new Uint8Array(1);
    for (let sent = 0; sent < count; sent++) {
      const to = nobody[Math.floor(sent / ports)];
      assert.ok(to !== undefined, `room for ${count} connections`);
      socket.send(to, 1_024 + (sent % ports), bytes);
    }
    socket.close();
  });
}
