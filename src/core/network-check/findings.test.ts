import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type {
  Finding,
  ForeignDrop,
  LookupPairs,
  NodeEvidence,
  PathProbe,
  Way,
} from "../../model/network-check.ts";
import { type CheckedNode, findingsOf } from "./findings.ts";

const addresses = { a: "192.0.2.1", b: "192.0.2.2", c: "192.0.2.3" } as const;
type Name = keyof typeof addresses;
const names: readonly Name[] = ["a", "b", "c"];
const bytes = { underlay: 1_500, overlay: 1_450 } as const;

/** From, to, way. */
type Direction = readonly [from: Name, to: Name, way: Way];

/** What differs from a network in which everything arrives. */
interface Weather {
  /** Nothing arrives. */
  readonly lost?: readonly Direction[];
  /** No more than so many bytes. */
  readonly tight?: readonly (readonly [...Direction, largest: number])[];
  readonly datagramsLost?: readonly Direction[];
  readonly nodes?: { readonly [name in Name]?: Partial<NodeEvidence> };
  readonly silent?: readonly Name[];
}

function weather(what: Weather): readonly CheckedNode[] {
  const has = (list: readonly (readonly unknown[])[] = [], direction: Direction) =>
    list.find((each) => direction.every((word, index) => each[index] === word));
  return names.map((name): CheckedNode => {
    const node = { name, address: addresses[name] };
    if (what.silent?.includes(name)) return { ...node, silentMs: 12_000 };
    const others = names.filter((other) => other !== name);
    const ways = ["underlay", "overlay"] as const;
    const probes = others.flatMap((peer) =>
      ways.map((way): PathProbe => {
        const isLost =
          has(what.lost, [name, peer, way]) !== undefined || what.silent?.includes(peer);
        const tight = has(what.tight, [name, peer, way]);
        return {
          ...{ peer, way, from: addresses[name], to: addresses[peer] },
          link: way === "overlay" ? "hdvxlan" : "eth0",
          small: isLost ? { sent: 3, answered: 0 } : { sent: 1, answered: 1 },
          full: {
            ...(isLost ? { sent: 0, answered: 0 } : { sent: 3, answered: tight ? 0 : 1 }),
            bytes: bytes[way],
          },
          ...(tight === undefined ? {} : { largestBytes: Number(tight[3]) }),
          datagrams: 12,
        };
      }),
    );
    const heard = others.flatMap((from) =>
      ways
        .filter(
          (way) => has(what.lost, [from, name, way]) === undefined && !what.silent?.includes(from),
        )
        .map((way) => ({
          ...{ from, way, echoes: 4 },
          largestBytes: Number(has(what.tight, [from, name, way])?.[3] ?? bytes[way]),
          datagrams: has(what.datagramsLost, [from, name, way]) === undefined ? 12 : 0,
        })),
    );
    return { ...node, evidence: { ...quiet, probes, heard, ...what.nodes?.[name] } };
  });
}

const quiet: NodeEvidence = {
  probes: [],
  heard: [],
  counters: {
    udpChecksumErrors: 0,
    tcpChecksumErrors: 0,
    icmpChecksumErrors: 0,
    invalidPackets: 0,
    reversePathDrops: 0,
  },
  reversePaths: [
    { way: "underlay", link: "eth0", filter: 0 },
    { way: "overlay", link: "hdvxlan", filter: 0 },
  ],
  drops: [],
  unread: [],
  ruleset: [],
  settings: [],
  agentSocket: "/run/heddle/agent.sock",
};

const drop: ForeignDrop = {
  traffic: "overlay-in",
  tool: "nft",
  family: "inet",
  table: "fw",
  chain: "input",
  hook: "input",
  isCertain: true,
  port: 4789,
  peers: ["a", "c"],
};

function lookups(a: number, aaaa: number, more: Partial<LookupPairs["a"]> = {}): LookupPairs {
  const tries = (answered: number) => ({ answered, failures: 0, slowestMs: 2, ...more });
  return { name: "x", pairs: 5, a: tries(a), aaaa: tries(aaaa) };
}

/** `kind node → node: command on node; …`. */
function lines(findings: readonly Finding[]): readonly string[] {
  return findings.map(
    ({ kind, nodes, fixes }) =>
      `${kind} ${nodes.join(" → ")}: ${fixes.map(({ node, command }) => `${command} on ${node}`).join("; ")}`,
  );
}

const resync = "curl -sS -X POST --unix-socket /run/heddle/agent.sock http://agent/resync";
const away = ["ip -br link", "ip -br address", "ip route get 192.0.2.1 on c"].join("; ");

describe("a check of the network", () => {
  const cases: readonly (readonly [what: string, weather: Weather, wanted: readonly string[]])[] = [
    ["finds nothing where all arrives", {}, []],
    [
      "names a node that is away, and not those who do not reach it",
      { silent: ["c"] },
      [`node-silent c: ${away}`],
    ],
    [
      "gives a loss on the wire once, not for the overlay again",
      {
        lost: [
          ["a", "b", "underlay"],
          ["a", "b", "overlay"],
        ],
      },
      ["unreachable a → b: timeout 10 tcpdump -ni any -c 5 'host 192.0.2.1' on b"],
    ],
    [
      "says that the overlay is blocked where plain packets come and no rule explains it",
      { lost: [["a", "b", "overlay"]] },
      ["overlay-blocked a → b: timeout 10 tcpdump -ni any -c 5 'udp and host 192.0.2.1' on b"],
    ],
    [
      "blames the rule that explains a loss",
      { lost: [["a", "b", "overlay"]], nodes: { b: { drops: [{ ...drop, peers: ["a"] }] } } },
      ["foreign-hook a → b: nft 'insert rule inet fw input udp dport 4789 accept' on b"],
    ],
    [
      "names a rule that may drop only where something was lost",
      {
        lost: [["a", "b", "overlay"]],
        nodes: {
          b: { drops: [{ ...drop, isCertain: false }] },
          c: { drops: [{ ...drop, isCertain: false, peers: ["a", "b"] }] },
        },
      },
      ["foreign-hook a → b: nft 'insert rule inet fw input udp dport 4789 accept' on b"],
    ],
    [
      "changes iptables' chains with iptables, and its other tables by name",
      {
        nodes: {
          a: {
            drops: [
              {
                ...drop,
                tool: "iptables-legacy",
                family: "ip6",
                table: "mangle",
                traffic: "pods-here",
                chain: "FORWARD",
                hook: "forward",
                peers: [],
              },
            ],
          },
        },
      },
      [
        "foreign-hook a: ip6tables-legacy -t mangle -I FORWARD -i hd+ -j ACCEPT on a; ip6tables-legacy -t mangle -I FORWARD -o hd+ -j ACCEPT on a",
      ],
    ],
    [
      "blames a strict link only where its counter grew",
      {
        lost: [
          ["a", "b", "overlay"],
          ["a", "c", "overlay"],
        ],
        nodes: {
          b: {
            counters: { ...quiet.counters, reversePathDrops: 9 },
            reversePaths: [{ way: "overlay", link: "hdvxlan", filter: 1 }],
          },
          c: { reversePaths: [{ way: "overlay", link: "hdvxlan", filter: 1 }] },
        },
      },
      [
        "reverse-path a → b: sysctl -w net.ipv4.conf.hdvxlan.rp_filter=2 on b",
        "overlay-blocked a → c: timeout 10 tcpdump -ni any -c 5 'udp and host 192.0.2.1' on c",
      ],
    ],
    [
      "makes the link small at the end that all pairs suffer from, by the tightest way",
      {
        tight: [
          ["a", "c", "overlay", 1_350],
          ["c", "a", "overlay", 1_330],
          ["b", "c", "overlay", 1_350],
        ],
      },
      [
        "mtu-black-hole a → c: ip link set dev eth0 mtu 1380 on c",
        "mtu-black-hole b → c: ip link set dev eth0 mtu 1400 on c",
        "mtu-black-hole c → a: ip link set dev eth0 mtu 1380 on c",
      ],
    ],
    [
      "says that wrapped packets come in fragments where just plain ones are too large",
      { tight: [["a", "b", "underlay", 1_400]] },
      ["fragmented a → b: ip link set dev eth0 mtu 1400 on a"],
    ],
    [
      "tells wrong checksums from datagrams that are lost",
      {
        datagramsLost: [
          ["a", "b", "overlay"],
          ["a", "c", "overlay"],
        ],
        nodes: { b: { counters: { ...quiet.counters, udpChecksumErrors: 5, invalidPackets: 7 } } },
      },
      ["checksum a → b: ethtool -K eth0 tx off on a"],
    ],
    [
      "takes a filter that lets no datagrams in for no fault, whatever else is invalid there",
      {
        datagramsLost: [
          ["a", "b", "overlay"],
          ["a", "b", "underlay"],
        ],
        nodes: { b: { counters: { ...quiet.counters, invalidPackets: 99 } } },
      },
      [],
    ],
    [
      "names settings, own rules and hairpin apart, causes first",
      {
        nodes: {
          b: {
            ruleset: [
              "nftables element x of hairpin is absent",
              "nftables chain forward is absent",
            ],
            settings: [{ key: "net.ipv4.ip_forward", found: "0", wanted: "1" }],
            refused: "no space",
            podLinks: ["pod shop/web: the pod has an interface eth0 already"],
          },
        },
      },
      [
        `node-refuses-plan b: ${resync} on b`,
        `pod-link b: ${resync} on b`,
        "setting b: sysctl -w net.ipv4.ip_forward=1 on b",
        `ruleset b: ${resync} on b`,
        `hairpin b: ${resync} on b`,
      ],
    ],
    [
      "believes packets that a pod cannot reach itself, where no rule of ours is missing",
      { nodes: { b: { hairpinLost: ["pod shop/web asked 10.96.0.7 port 80: no answer"] } } },
      [`hairpin b: ${resync} on b; nft list hooks on b`],
    ],
    [
      "tells a name server that is silent, one that answers half, and one that is slow",
      {
        nodes: {
          a: { names: { server: "169.254.1.1", pid: 7, cluster: lookups(0, 0) } },
          b: { names: { server: "169.254.1.1", pid: 8, cluster: lookups(5, 3) } },
          c: {
            names: { server: "169.254.1.1", pid: 9, cluster: lookups(5, 5, { slowestMs: 2_000 }) },
          },
        },
      },
      [
        "names-silent a: kill -KILL 7 on a",
        "names-race b: kill -KILL 8 on b",
        "names-slow c: kill -KILL 9 on c",
      ],
    ],
  ];
  for (const [what, given, wanted] of cases) {
    test(what, () => assert.deepEqual(lines(findingsOf({ nodes: weather(given) })), wanted));
  }

  test("takes an upstream that fails AAAA for what it is", () => {
    const outside = { ...lookups(5, 5), aaaa: { answered: 5, failures: 5, slowestMs: 3_000 } };
    const names = { server: "169.254.1.1", cluster: lookups(5, 5), outside };
    const [finding] = findingsOf({ nodes: weather({ nodes: { a: { names } } }) });
    assert.equal(finding?.kind, "names-race");
    assert.match(finding?.summary ?? "", /outside names answers one/);
  });

  test("says the size to the Network where somebody set it there", () => {
    const nodes = weather({ tight: [["a", "b", "overlay", 1_350]] });
    const [finding] = findingsOf({ nodes, networkMtu: 1_500 });
    assert.deepEqual(finding?.fixes, [
      {
        node: "a",
        command: `kubectl patch network default --type merge -p '{"spec":{"mtu":1400}}'`,
      },
    ]);
  });
});

describe("the table of connections", () => {
  const table = (counts: (second: number) => number, seconds = 120, max = 100_000) => ({
    max,
    samples: Array.from({ length: seconds }, (_, s) => ({ at: s * 1_000, count: counts(s) })),
    ...{ dropped: 0, insertFailed: 0, earlyDropped: 0 },
  });
  const kinds = (connections: NonNullable<NodeEvidence["connections"]>) =>
    findingsOf({ nodes: weather({ nodes: { a: { connections } } }) }).map(({ kind }) => kind);

  test("is found when it is full, or has refused somebody", () => {
    assert.deepEqual(kinds(table(() => 91_000)), ["connections-full"]);
    assert.deepEqual(kinds({ ...table(() => 10), dropped: 1 }), ["connections-full"]);
    assert.deepEqual(kinds(table(() => 80_000)), []);
  });

  test("is found when it will be full within the hour, and not for a start from nothing", () => {
    assert.deepEqual(kinds(table((s) => 40_000 + 30 * s)), ["connections-filling"]);
    assert.deepEqual(kinds(table((s) => 40_000 + s)), []);
    assert.deepEqual(kinds(table((s) => 30 * s)), []);
    assert.deepEqual(kinds(table((s) => 40_000 + 3_000 * Math.sin(s / 5))), []);
  });
});
